"""What a backtest is asked to do: agents, how fills and delays are modelled, seed, time range."""

import random
from dataclasses import dataclass, field
from typing import Any

from models.agents import AgentSpec
from models.errors import ConfigError
from models.fills import FillModel
from models.travel import Travel
from models.units import MILLISECOND_NS
from risk.limits import Limits
from risk.policies import PolicyFile
from strategies import library
from strategies.base import Strategy

USUAL = Travel(50 * MILLISECOND_NS)
"""What messages take where nobody says."""


@dataclass(frozen=True, slots=True)
class BacktestAgent:
    """One agent of a run.

    Parameters
    ----------
    limits
        What it may do. In a run with a shared account all agents' limits must be the same ones.
    strategy
        Its strategy; None builds it from the spec's name and parameters for every run anew. A
        strategy given keeps its memory from one run to the next.
    """

    spec: AgentSpec
    limits: Limits
    strategy: Strategy | None = None

    def build(self) -> Strategy:
        """Return the strategy. Raises `ConfigError` for an unknown one or wrong parameters."""
        return self.strategy or library.create(self.spec.strategy, self.spec.parameters)


@dataclass(frozen=True, slots=True)
class BacktestConfig:
    """A run, complete: the same config over the same tape gives the same result to the byte.

    Parameters
    ----------
    feed
        Travel time of market data and of the venue's answers, on top of what the tape itself
        says between `ts_ns` and `recv_ns`.
    order
        Travel time of orders and cancels; they meet the tape as it is when they arrive.
    grace_ns
        How long a print and the fall of its level may lie apart (`engine.fills.queue`).
    shared_account
        Whether all agents draw on one purse, the sum of their capital, under one set of limits.
    sample_s
        Seconds between samples of equity.
    start_ns, end_ns
        First and last moment agents trade; None: the tape's.
    taker_delay
        Whether the venue holds marketable orders as long as it did at the tape's date
        (`models.history.taker_delay_ms`).
    mined_s, confirmed_s
        How long after a match its trade is on the chain, and final.
    seed
        Of everything random: travel times.
    policies, floor_capital_e6
        What every order must pass beside the agent's limits, and the capital that shares are
        taken of (None: all agents' together). Each agent is checked as if it were alone on the
        floor: limits that all share are not divided among the agents of a run.
    spec
        Anything more a caller wants noted in the result's `spec`, JSON-serialisable.
    """

    agents: tuple[BacktestAgent, ...]
    fill_model: FillModel = FillModel.BACK
    feed: Travel = USUAL
    order: Travel = USUAL
    grace_ns: int = 0
    shared_account: bool = False
    sample_s: float = 10.0
    start_ns: int | None = None
    end_ns: int | None = None
    taker_delay: bool = False
    mined_s: float = 2.0
    confirmed_s: float = 4.0
    max_book_age_s: float = 30.0
    max_spot_age_s: float = 6.0
    quit_before_end_s: float = 3.0
    strike_after_s: float = 5.0
    resolution_after_s: float = 2.0
    seed: int = 7
    policies: PolicyFile | None = None
    floor_capital_e6: int | None = None
    spec: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [agent.spec.name for agent in self.agents]
        if not names:
            raise ConfigError("a backtest needs at least one agent")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"two agents are called {twice[0]!r}; names must differ")
        for name in ("sample_s", "max_book_age_s", "max_spot_age_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be above zero")
        if self.start_ns is not None and self.end_ns is not None and self.start_ns >= self.end_ns:
            raise ConfigError(f"start_ns {self.start_ns} must be before end_ns {self.end_ns}")
        if self.shared_account and len({agent.limits for agent in self.agents}) > 1:
            raise ConfigError("agents that share an account share its limits; give all the same")

    @property
    def capital_e6(self) -> int:
        """The floor's capital."""
        if self.floor_capital_e6 is not None:
            return self.floor_capital_e6
        return sum(agent.spec.capital_e6 for agent in self.agents)

    def seeds(self, count: int) -> list[int]:
        """Independent seeds drawn from the run's."""
        source = random.Random(self.seed)
        return [source.getrandbits(63) for _ in range(count)]
