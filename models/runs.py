"""What a person asks the backtester for: one run, or a search over many. One YAML file each."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from models.agents import AgentSpec
from models.fills import FillModel


def _moment(value: Any) -> Any:
    """Take a date or time without a zone as UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"{value!r} is not a time; write 2026-02-21 or 2026-02-21T10:00"
            ) from None
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    if not isinstance(value, datetime) and hasattr(value, "year"):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]


class RunSpec(BaseModel):
    """One backtest: agents on recorded data under stated assumptions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="backtest", pattern="^[a-z0-9][a-z0-9._-]{0,62}$")
    data: str = Field(
        min_length=1, description="A recorded set by name, or the path of a tape or CSV file."
    )
    agents: tuple[AgentSpec, ...] = Field(min_length=1)
    start: Moment | None = Field(default=None, description="First moment, UTC; default the data's.")
    end: Moment | None = Field(default=None, description="Last moment, UTC; default the data's.")
    fill_model: FillModel = Field(
        default=FillModel.BACK,
        description="Our place in recorded queues: back (worst), log, power, front (best).",
    )
    feed_latency: str = Field(
        default="constant:50ms",
        description="How much later we see the market: 0, constant:50ms, sampled:40ms:0.5.",
    )
    order_latency: str = Field(
        default="constant:50ms", description="How long orders take to the market; as above."
    )
    shared_account: bool = Field(
        default=False, description="Whether all agents draw on one purse, the sum of their capital."
    )
    policies: str | None = Field(
        default=None,
        description="Path of a policy file that every order must pass too, as on the floor.",
    )
    seed: int = Field(default=7, ge=0)
    max_book_age_s: float | None = Field(
        default=None,
        gt=0,
        description="Books older than this are not traded on, seconds; default as live, or twice "
        "the recording's usual silence where that is longer.",
    )
    max_spot_age_s: float | None = Field(
        default=None, gt=0, description="The same for spot prices, seconds."
    )
    sample_s: float = Field(
        default=10.0, gt=0, le=86_400, description="Seconds between samples of equity."
    )

    @field_validator("agents")
    @classmethod
    def _names_differ(cls, agents: tuple[AgentSpec, ...]) -> tuple[AgentSpec, ...]:
        names = [agent.name for agent in agents]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two agents are called {twice[0]!r}; names must differ")
        return agents

    @model_validator(mode="after")
    def _time_goes_forward(self) -> Self:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"start {self.start} must be before end {self.end}")
        return self


class Range(BaseModel):
    """Numbers from `low` to `high`, both included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float
    high: float
    step: float | None = Field(default=None, gt=0)
    log: bool = Field(default=False, description="Search by orders of magnitude.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low={self.low:g} must be below high={self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low above zero and no step")
        return self


Search = Range | Annotated[tuple[Any, ...], Field(min_length=1)]
"""Where a parameter is searched: a range, or a list of values."""


class Sampler(StrEnum):
    """How the next parameters are chosen."""

    GRID = "grid"
    """Every combination; ranges need a step."""
    RANDOM = "random"
    TPE = "tpe"
    """Tree-structured Parzen estimator: more often where it went well."""
    NSGA2 = "nsga2"
    """Genetic, for several objectives at once."""


class Objective(StrEnum):
    """What is searched for; each is a figure of a run's summary."""

    PNL = "pnl"
    SHARPE = "sharpe"
    SORTINO = "sortino"
    CALMAR = "calmar"
    PROFIT_FACTOR = "profit_factor"
    EXPECTANCY = "expectancy"
    MAX_DRAWDOWN = "max_drawdown"
    BRIER = "brier"

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        low_is_good = self in (Objective.MAX_DRAWDOWN, Objective.BRIER)
        return "minimize" if low_is_good else "maximize"


class WalkForward(BaseModel):
    """Choose on the past, judge on what came after, and move on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folds: int = Field(default=3, ge=1, le=100, description="How often that is done.")
    train_share: float = Field(
        default=2.0,
        gt=0,
        le=100,
        description="Length of the training part as a multiple of the test part.",
    )
    anchored: bool = Field(
        default=False, description="Whether training always begins at the data's beginning."
    )
    embargo_s: float = Field(
        default=900.0, ge=0, description="Left out between training and test, seconds."
    )


class SweepSpec(BaseModel):
    """A search over one agent's parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: RunSpec
    agent: str | None = Field(
        default=None, description="Whose parameters are searched; default the only agent."
    )
    space: dict[str, Search] = Field(
        default_factory=dict,
        description="Where to search; default every number with bounds, within them.",
    )
    sampler: Sampler = Sampler.TPE
    objectives: tuple[Objective, ...] = Field(default=(Objective.SHARPE,), min_length=1)
    trials: int = Field(default=50, ge=1, le=100_000, description="Most parameter sets tried.")
    walk_forward: WalkForward | None = WalkForward()
    workers: int | None = Field(
        default=None, ge=1, le=256, description="Processes on this machine; default one a core."
    )
    dask: str | None = Field(
        default=None,
        pattern=r"^(tcp|tls|ws|wss|ucx)://\S+$",
        description="Address of a Dask scheduler; the trials then run there.",
    )
    screen: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="Look at so many parameter sets over bars first; the best `trials` of them "
        "are backtested. For strategies that have a screen: momentum.",
    )
    max_loss_usd: Decimal | None = Field(
        default=None, gt=0, description="Parameter sets that lost more than this do not count."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [agent.name for agent in self.run.agents]
        if self.agent is None and len(names) > 1:
            raise ValueError(f"say whose parameters are searched: agent: one of {names}")
        if self.agent is not None and self.agent not in names:
            raise ValueError(f"agent {self.agent!r} is none of {names}")
        if len(self.objectives) > 1 and self.sampler is Sampler.TPE:
            raise ValueError("several objectives need sampler nsga2, random or grid")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("an objective is named twice")
        if self.screen is not None and self.sampler not in (Sampler.GRID, Sampler.RANDOM):
            raise ValueError("a screen needs sampler grid or random")
        if self.screen is not None and self.screen < self.trials:
            raise ValueError(f"screen={self.screen} must be at least trials={self.trials}")
        return self

    @property
    def searched(self) -> AgentSpec:
        name = self.agent or self.run.agents[0].name
        return next(agent for agent in self.run.agents if agent.name == name)
