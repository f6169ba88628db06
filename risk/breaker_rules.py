"""Which breakers the floor has, as people write them under `breakers:` in the policy file.

A breaker that the file leaves out keeps the defaults below; ``enabled: false`` switches one off.
What each looks at, and who acts on it, is told in docs/risk.md.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from risk.breakers import BreakerPolicy, MarketNorms, Positions, Rearm

Seconds = Annotated[float, Field(ge=0, le=86_400)]
Span = Annotated[float, Field(gt=0, le=86_400)]
Part = Annotated[float, Field(gt=0, le=1)]
Distance = Annotated[float, Field(gt=0, lt=1)]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    cooldown_s: Seconds = 300.0
    trial_s: Seconds = 300.0
    trial_share: Part = 0.25
    rearm: Rearm = Rearm.AUTO
    positions: Positions = Positions.HOLD

    def policy(self, name: str) -> BreakerPolicy:
        """How the breaker of this full name (``agent-losses:alpha``) behaves."""
        return BreakerPolicy(
            name, self.cooldown_s, self.trial_s, self.trial_share, self.rearm, self.positions
        )


class AgentLosses(_Rule):
    """So many losing windows of an agent in a row."""

    name: Literal["agent-losses"] = "agent-losses"
    max_in_a_row: Annotated[int, Field(ge=1, le=1000)] = 5
    cooldown_s: Seconds = 900.0


class AgentDrawdown(_Rule):
    """An agent's equity so far below its highest."""

    name: Literal["agent-drawdown"] = "agent-drawdown"
    share: Part = 0.20
    rearm: Rearm = Rearm.MANUAL


class FloorDrawdown(_Rule):
    """The floor's equity so far below that at the day's beginning (UTC)."""

    name: Literal["floor-drawdown"] = "floor-drawdown"
    share: Part = 0.15
    rearm: Rearm = Rearm.MANUAL


class ApiErrors(_Rule):
    """More than this share of calls to the venue failed within the window."""

    name: Literal["api-errors"] = "api-errors"
    share: Part = 0.10
    window_s: Span = 300.0
    least: Annotated[int, Field(ge=1, le=100_000)] = 20
    cooldown_s: Seconds = 30.0
    trial_s: Seconds = 60.0


class DatabaseLost(_Rule):
    """Postgres did not answer for so long. Positions can only be held: no order could be kept."""

    name: Literal["database-lost"] = "database-lost"
    max_s: Span = 60.0
    positions: Literal[Positions.HOLD] = Positions.HOLD
    cooldown_s: Seconds = 10.0
    trial_s: Seconds = 30.0


class StaleData(_Rule):
    """No market data or spot price was collected for so long."""

    name: Literal["stale-data"] = "stale-data"
    max_s: Span = 60.0
    cooldown_s: Seconds = 15.0
    trial_s: Seconds = 30.0


class ClockSkew(_Rule):
    """Our clock is off the venue's by so much, either way."""

    name: Literal["clock-skew"] = "clock-skew"
    max_s: Span = 2.0
    cooldown_s: Seconds = 60.0
    trial_s: Seconds = 60.0


class MarketAnomaly(_Rule):
    """A market's book or tape is not normal; prices in dollars, volume in shares a second.
    Positions can only be held: a book that is not normal is none to sell into."""

    name: Literal["market-anomaly"] = "market-anomaly"
    max_spread: Distance = 0.20
    max_jump: Distance = 0.25
    jump_s: Span = 1.0
    max_volume: Annotated[float, Field(gt=0, le=1e12)] = 1e6
    min_levels: Annotated[int, Field(ge=0, le=1000)] = 1
    positions: Literal[Positions.HOLD] = Positions.HOLD
    cooldown_s: Seconds = 20.0
    trial_s: Seconds = 30.0

    @property
    def norms(self) -> MarketNorms:
        return MarketNorms(
            max_spread_e4=round(self.max_spread * 10_000),
            max_jump_e4=round(self.max_jump * 10_000),
            jump_s=self.jump_s,
            max_volume_e6=round(self.max_volume * 1_000_000),
            min_levels=self.min_levels,
        )


class ResolutionDisagreement(_Rule):
    """The venue named another winner than the settlement rule gives on the prices we kept.

    Prices closer to the strike than `margin_bps` decide nothing: ours may be off by that much.
    """

    name: Literal["resolution-disagreement"] = "resolution-disagreement"
    margin_bps: Annotated[float, Field(ge=0, le=1000)] = 1.0
    rearm: Rearm = Rearm.MANUAL


BreakerRule = Annotated[
    AgentLosses
    | AgentDrawdown
    | FloorDrawdown
    | ApiErrors
    | DatabaseLost
    | StaleData
    | ClockSkew
    | MarketAnomaly
    | ResolutionDisagreement,
    Field(discriminator="name"),
]
KINDS: Mapping[str, type[_Rule]] = {
    "agent-losses": AgentLosses,
    "agent-drawdown": AgentDrawdown,
    "floor-drawdown": FloorDrawdown,
    "api-errors": ApiErrors,
    "database-lost": DatabaseLost,
    "stale-data": StaleData,
    "clock-skew": ClockSkew,
    "market-anomaly": MarketAnomaly,
    "resolution-disagreement": ResolutionDisagreement,
}
Kind = TypeVar("Kind", bound=_Rule)

OF_AGENT = frozenset({"agent-losses", "agent-drawdown"})
OF_MARKET = frozenset({"market-anomaly"})


class Rules:
    """Every breaker's rule: the file's where it names one, else the default."""

    def __init__(self, given: Iterable[BreakerRule] = ()) -> None:
        self._of: dict[str, _Rule] = {name: kind() for name, kind in KINDS.items()}
        self._of |= {rule.name: rule for rule in given}

    @property
    def losses(self) -> AgentLosses:
        return self._rule(AgentLosses)

    @property
    def drawdown(self) -> AgentDrawdown:
        return self._rule(AgentDrawdown)

    @property
    def floor(self) -> FloorDrawdown:
        return self._rule(FloorDrawdown)

    @property
    def api(self) -> ApiErrors:
        return self._rule(ApiErrors)

    @property
    def database(self) -> DatabaseLost:
        return self._rule(DatabaseLost)

    @property
    def data(self) -> StaleData:
        return self._rule(StaleData)

    @property
    def clock(self) -> ClockSkew:
        return self._rule(ClockSkew)

    @property
    def market(self) -> MarketAnomaly:
        return self._rule(MarketAnomaly)

    @property
    def resolution(self) -> ResolutionDisagreement:
        return self._rule(ResolutionDisagreement)

    def enabled(self, full_name: str) -> bool:
        """Whether a breaker (``agent-losses:alpha`` or ``api-errors``) is on; unknown ones not."""
        rule = self._of.get(kind_of(full_name))
        return rule is not None and rule.enabled

    def policy(self, full_name: str) -> BreakerPolicy:
        """How a breaker behaves. An unknown name waits for a person."""
        rule = self._of.get(kind_of(full_name))
        if rule is None:
            return BreakerPolicy(full_name, rearm=Rearm.MANUAL)
        return rule.policy(full_name)

    def _rule(self, kind: type[Kind]) -> Kind:
        rule = self._of[str(kind.model_fields["name"].default)]
        assert isinstance(rule, kind)
        return rule


def kind_of(full_name: str) -> str:
    """``agent-losses`` of ``agent-losses:alpha``."""
    return full_name.partition(":")[0]


def subject_of(full_name: str) -> str:
    """``alpha`` of ``agent-losses:alpha``; empty for a breaker of the whole floor."""
    return full_name.partition(":")[2]
