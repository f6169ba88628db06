"""The policies a floor trades under, as people write them: one YAML or JSON file, checked whole.

Every policy has its class here, with its meaning; `risk.gate` checks orders against them. Limits
given as a share are shares of the floor's capital (INITIAL_CAPITAL, or `capital_usd` in the file).
A policy that is left out does not limit; the agent's own limits (`risk.limits`) always do.
"""

import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import ConfigError
from models.units import to_cash_e6
from risk.breaker_rules import KINDS, BreakerRule, Rules

Share = Annotated[float, Field(gt=0, le=1)]
Usd = Annotated[Decimal, Field(gt=0, le=10**9, decimal_places=6)]
Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Per(StrEnum):
    MARKET = "market"
    """Of one market window."""
    FLOOR = "floor"
    """Of everything the floor has."""


class _Policy(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Money(_Policy):
    """A limit in money: either dollars or a share of the floor's capital."""

    max_usd: Usd | None = None
    share_of_capital: Share | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.max_usd is None) == (self.share_of_capital is None):
            raise ValueError("give either max_usd or share_of_capital")
        return self

    def limit_e6(self, capital_e6: int) -> int:
        """The limit in e6 of cash, a share rounded down."""
        if self.max_usd is not None:
            return to_cash_e6(self.max_usd)
        assert self.share_of_capital is not None
        return int(Decimal(str(self.share_of_capital)) * capital_e6)


class PositionLimit(_Policy):
    """Most shares of one outcome, open BUYs counted as filled."""

    type: Literal["PositionLimit"]
    per: Per = Per.MARKET
    max_shares: Amount


class InventoryLimit(_Money):
    """Most a market's unpaired shares may be worth at the order's price: Up without their Down."""

    type: Literal["InventoryLimit"]


class TradeLimit(_Money):
    """Most one order may cost."""

    type: Literal["TradeLimit"]


class AgentLimit(_Money):
    """Most one agent may have in open positions and orders, at cost."""

    type: Literal["AgentLimit"]


class FloorLimit(_Money):
    """Most all agents together may have in open positions and orders, at cost. Held by
    reservations that several processes can't pass together."""

    type: Literal["FloorLimit"]


class DailyLoss(_Money):
    """Loss of one UTC day after which the agent, or the whole floor, buys no more."""

    type: Literal["DailyLoss"]
    per: Literal["agent", "floor"] = "floor"


class ConcurrentTrades(_Policy):
    """Markets an agent may be in at the same time."""

    type: Literal["ConcurrentTrades"]
    max_markets: Annotated[int, Field(ge=1, le=1000)]


class OrderRate(_Policy):
    """Orders an agent may send in any second and any minute."""

    type: Literal["OrderRate"]
    per_second: Annotated[int, Field(ge=1, le=10_000)]
    per_minute: Annotated[int, Field(ge=1, le=600_000)]

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.per_minute < self.per_second:
            raise ValueError(
                f"per_minute={self.per_minute} is below per_second={self.per_second}: "
                "the second could never be used"
            )
        return self


class PriceCollar(_Policy):
    """Furthest an order's price may be on the wrong side of the mid, in dollars: a BUY above it,
    a SELL below it."""

    type: Literal["PriceCollar"]
    max_distance: Annotated[float, Field(gt=0, lt=1)]


class ExpiryCutoff(_Policy):
    """No purchase with less of the window left."""

    type: Literal["ExpiryCutoff"]
    min_seconds: Annotated[float, Field(ge=0, le=14_400)]


class VarLimit(_Policy):
    """Most the floor's value at risk may be. An order is counted with its whole cost on top,
    which is never too little: it cannot lose more."""

    type: Literal["VarLimit"]
    max_usd: Usd
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    horizon_s: Annotated[float, Field(gt=0, le=86_400)] = 900.0


class GreeksLimit(_Policy):
    """Most the floor may have of an asset's Greeks, either way; see `risk.hedging.Exposures`.
    Orders that bring it down are never refused."""

    type: Literal["GreeksLimit"]
    delta: Amount | None = None
    gamma: Amount | None = None
    vega: Amount | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.delta is None and self.gamma is None and self.vega is None:
            raise ValueError("give at least one of delta, gamma and vega")
        return self


class KillSwitch(_Policy):
    """While it is thrown nothing is sent. It can't be left out; here it may be thrown for good."""

    type: Literal["KillSwitch"]
    thrown: bool = False


Policy = Annotated[
    PositionLimit
    | InventoryLimit
    | TradeLimit
    | AgentLimit
    | FloorLimit
    | DailyLoss
    | ConcurrentTrades
    | OrderRate
    | PriceCollar
    | ExpiryCutoff
    | VarLimit
    | GreeksLimit
    | KillSwitch,
    Field(discriminator="type"),
]
NAMES = (
    "PositionLimit", "InventoryLimit", "TradeLimit", "AgentLimit", "FloorLimit", "DailyLoss",
    "ConcurrentTrades", "OrderRate", "PriceCollar", "ExpiryCutoff", "VarLimit", "GreeksLimit",
    "KillSwitch",
)  # fmt: skip


class PolicyFile(_Policy):
    """The whole file. Each policy once, those with `per` once for each."""

    capital_usd: Usd | None = Field(default=None, description="Default INITIAL_CAPITAL.")
    policies: tuple[Policy, ...] = ()
    breakers: tuple[BreakerRule, ...] = Field(
        default=(), description="Those that differ from the defaults of `risk.breaker_rules`."
    )

    @property
    def rules(self) -> Rules:
        """Every breaker's rule, the file's or the default."""
        return Rules(self.breakers)

    def find(self, name: str, per: str | None = None) -> Any:
        """The policy of a name, None where the file has none."""
        for policy in self.policies:
            if policy.type == name and (per is None or getattr(policy, "per", None) == per):
                return policy
        return None

    def capital_e6(self, default_e6: int) -> int:
        return default_e6 if self.capital_usd is None else to_cash_e6(self.capital_usd)


def load(text: str, source: str, capital_e6: int) -> PolicyFile:
    """Read policies from the text of a YAML or JSON file.

    Parameters
    ----------
    source
        The file's name, for errors.
    capital_e6
        The floor's capital where the file names none; shares are checked against each other by it.

    Raises
    ------
    ConfigError
        One line per fault, each naming file and line: text that can't be parsed, an unknown
        policy or key, a value that can't be, a policy given twice, limits that contradict.
    """
    raw, lines = _parse(text, source)
    try:
        found = PolicyFile.model_validate(raw)
    except ValidationError as error:
        faults = [_fault(item, raw) for item in error.errors()]
        raise ConfigError(
            "\n".join(f"{source}:{_line(lines, where)}: {what}" for where, what in faults)
        ) from None
    clashes = [*_twice(found), *_contradictions(found, found.capital_e6(capital_e6))]
    faults = [(("policies", at), what) for at, what in clashes]
    faults += [(("breakers", at), what) for at, what in _breakers_twice(found)]
    if faults:
        raise ConfigError(
            "\n".join(f"{source}:{_line(lines, where)}: {what}" for where, what in faults)
        )
    return found


# --- what contradicts -----------------------------------------------------------------------------


def _twice(found: PolicyFile) -> Iterator[tuple[int, str]]:
    seen: dict[tuple[str, str], int] = {}
    for index, policy in enumerate(found.policies):
        key = (policy.type, str(getattr(policy, "per", "")))
        if key in seen:
            per = f" per {key[1]}" if key[1] else ""
            yield index, f"{policy.type}{per} is given twice; keep one"
        seen[key] = index


def _breakers_twice(found: PolicyFile) -> Iterator[tuple[int, str]]:
    names = [rule.name for rule in found.breakers]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield index, f"breaker {name} is given twice; keep one"


def _contradictions(found: PolicyFile, capital_e6: int) -> Iterator[tuple[int, str]]:
    """Limits of which one could never be reached because of another."""
    order = ("TradeLimit", "AgentLimit", "FloorLimit")
    given = [
        (index, policy, policy.limit_e6(capital_e6))
        for name in order
        for index, policy in enumerate(found.policies)
        if policy.type == name and isinstance(policy, _Money)
    ]
    for (index, small, least), (_, large, most) in itertools.pairwise(given):
        if least > most:
            yield (
                index,
                f"{small.type} of ${least / 1e6:.2f} is above {large.type} of ${most / 1e6:.2f}: "
                "it could never be used",
            )
    for index, policy in enumerate(found.policies):
        if isinstance(policy, _Money) and policy.limit_e6(capital_e6) <= 0:
            yield index, f"{policy.type} is nothing at a capital of ${capital_e6 / 1e6:.2f}"
    market, floor = (found.find("PositionLimit", per) for per in (Per.MARKET, Per.FLOOR))
    if market is not None and floor is not None and market.max_shares > floor.max_shares:
        at = found.policies.index(market)
        yield (
            at,
            f"PositionLimit per market of {market.max_shares:g} shares is above the floor's "
            f"{floor.max_shares:g}: it could never be used",
        )


# --- reading with line numbers --------------------------------------------------------------------

Lines = dict[tuple[Any, ...], int]


def _parse(text: str, source: str) -> tuple[Any, Lines]:
    """The parsed file and where each of its parts stands. JSON is YAML enough for both."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        what = getattr(error, "problem", None) or "not valid YAML"
        raise ConfigError(f"{source}:{line}: can't be read: {what}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{source}:1: must hold keys and values, not {type(raw).__name__}")
    lines: Lines = {}
    _mark(node, (), lines)
    return raw, lines


def _mark(node: Any, at: tuple[Any, ...], lines: Lines) -> None:
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _mark(value, (*at, key.value), lines)
            lines[(*at, key.value)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _mark(value, (*at, index), lines)


def _line(lines: Lines, where: tuple[Any, ...]) -> int:
    """Line of a part, or of the nearest part around it that is in the file."""
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)


def _fault(item: Any, raw: Any) -> tuple[tuple[Any, ...], str]:
    """Where a fault is in the file, and what it is, in words."""
    # Pydantic puts the chosen policy's type between its index and its keys.
    where = tuple(part for part in item["loc"] if part not in NAMES and part not in KINDS)
    key, kind = (where[-1] if where else ""), item["type"]
    name = _name(where, raw)
    if where[:1] == ("breakers",) and kind.startswith("union_tag"):
        return where, _unknown_breaker(item)
    if kind == "extra_forbidden":
        known = ("capital_usd", "policies", "breakers") if len(where) == 1 else _keys(name)
        return where, f"{name}unknown key {key!r}{_close(str(key), known)}"
    if kind == "missing":
        return where[:-1], f"{name}key {key!r} is missing"
    if kind == "union_tag_not_found":
        return where, f"a policy has no type; there are: {', '.join(NAMES)}"
    if kind == "union_tag_invalid":
        given = str(item["ctx"]["tag"])
        return (
            where,
            f"unknown policy {given!r}{_close(given, NAMES)}; there are: {', '.join(NAMES)}",
        )
    reason = str(item["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return where, f"{name}{reason}"
    return where, f"{name}{key}={json.dumps(item.get('input'), default=str)}: {reason}"


def _unknown_breaker(item: Any) -> str:
    there = f"there are: {', '.join(KINDS)}"
    if item["type"] == "union_tag_not_found":
        return f"a breaker has no name; {there}"
    given = str(item["ctx"]["tag"])
    return f"unknown breaker {given!r}{_close(given, tuple(KINDS))}; {there}"


def _name(where: tuple[Any, ...], raw: Any) -> str:
    key = "name" if where[:1] == ("breakers",) else "type"
    try:
        return f"{raw[where[0]][where[1]][key]}: " if len(where) > 1 else ""
    except (KeyError, IndexError, TypeError):
        return ""


def _keys(name: str) -> tuple[str, ...]:
    kind = KINDS.get(name.removesuffix(": ")) or globals().get(name.removesuffix(": "))
    return (
        tuple(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else ()
    )


def _close(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
