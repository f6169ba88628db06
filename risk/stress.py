"""What a book would be worth, and could still lose, if something happened to it now.

A scenario moves spot prices, multiplies volatilities, sets the correlation, and says what becomes
of resting orders. The book is valued by the model of `risk.resolution` before and after; beside
the change in value stand the tail of what may follow and the worst case, which needs no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import BadValue, ConfigError
from risk.resolution import Market, Stake, simulate, worst_case

Move = Annotated[float, Field(gt=-1, le=10)]


class Orders(StrEnum):
    """What becomes of resting orders."""

    CANCELLED = "cancelled"
    FILLED = "filled"
    """All of them, whole: what happens to quotes nobody can pull."""


class Scenario(BaseModel):
    """One thing that may happen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern="^[a-z0-9][a-z0-9-]{0,62}$")
    description: str = ""
    spot: dict[str, Move] = Field(
        default_factory=dict, description="Relative move by asset, -0.05 is five percent down."
    )
    other_spot: Move = Field(default=0.0, description="Move of every asset not named in `spot`.")
    volatility: float = Field(default=1.0, ge=0, le=1000, description="Factor on volatilities.")
    correlation: float | None = Field(
        default=None, ge=-1, le=1, description="Of all pairs; default as it is."
    )
    orders: Orders = Orders.CANCELLED
    resolution_wrong: bool = Field(
        default=False, description="Every market resolves against the book, whatever prices do."
    )


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="crash-2024-08-05",
        description="The worst quarter of an hour of 5 August 2024 (00:40 to 00:55 UTC), and its "
        "volatility: three times that month's.",
        spot={"BTC": -0.0545, "ETH": -0.1651},
        other_spot=-0.1651,
        volatility=3.0,
        correlation=0.9,
    ),
    Scenario(
        name="flash-crash",
        description="A tenth down within seconds, quotes filled on the way.",
        other_spot=-0.10,
        volatility=5.0,
        correlation=1.0,
        orders=Orders.FILLED,
    ),
    Scenario(
        name="flash-rally",
        description="The same upwards.",
        other_spot=0.10,
        volatility=5.0,
        correlation=1.0,
        orders=Orders.FILLED,
    ),
    Scenario(
        name="volatility-spike",
        description="Prices stand, volatility is four times what it was.",
        volatility=4.0,
    ),
    Scenario(
        name="all-wrong",
        description="Every market resolves against us.",
        resolution_wrong=True,
    ),
    Scenario(
        name="venue-outage",
        description="The venue is out of reach with our orders in it: all of them fill, then every "
        "market resolves against us.",
        orders=Orders.FILLED,
        resolution_wrong=True,
    ),
    Scenario(
        name="correlation-one",
        description="All assets move as one.",
        correlation=1.0,
    ),
)
"""Scenarios that are always run. The crash's figures are its largest fifteen-minute falls of
one-minute closes at Binance: 5.45 % of BTC, 16.51 % of ETH (log returns of 5.6 and 18.0 %)."""


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An open BUY, as what it would add: shares in e6 and what they would cost with fees."""

    stake: str
    """Name of the stake (market) it belongs to."""
    up_e6: int
    down_e6: int
    cost_e6: int


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that is open. Markets without a position but with orders are stakes of zero."""

    stakes: Sequence[Stake]
    markets: Mapping[str, Market]
    correlation: Mapping[tuple[str, str], float]
    orders: Sequence[RestingOrder] = ()


@dataclass(frozen=True, slots=True)
class Stressed:
    """A book after a scenario; e6 of cash, losses negative, but `es_e6` is a loss."""

    scenario: Scenario
    before_e6: int
    """Expected result of the book as it is."""
    after_e6: int
    es_e6: int
    """Expected shortfall at 99 % afterwards."""
    worst_e6: int
    """The worst that any prices could still bring."""

    @property
    def change_e6(self) -> int:
        return self.after_e6 - self.before_e6


def stress(
    book: Book, scenarios: Sequence[Scenario] = SCENARIOS, paths: int = 20_000, seed: int = 7
) -> list[Stressed]:
    """Run scenarios over a book, each from the book as it is.

    Raises
    ------
    BadValue
        An order of a market that is no stake, or what `simulate` refuses.
    """
    if not book.stakes:
        return [Stressed(scenario, 0, 0, 0, 0) for scenario in scenarios]
    before = _value(book, paths, seed)[0]
    return [_run(book, scenario, before, paths, seed) for scenario in scenarios]


def _run(book: Book, scenario: Scenario, before_e6: int, paths: int, seed: int) -> Stressed:
    moved = {
        asset: Market(
            market.spot * (1 + scenario.spot.get(asset, scenario.other_spot)),
            market.volatility * scenario.volatility,
        )
        for asset, market in book.markets.items()
    }
    correlation = dict(book.correlation)
    if scenario.correlation is not None:
        correlation = {
            (one, other): scenario.correlation for one in moved for other in moved if one < other
        }
    stakes = list(book.stakes)
    if scenario.orders is Orders.FILLED:
        stakes = _filled(stakes, book.orders)
    if scenario.resolution_wrong:
        # Against the book, market by market: more than prices could do to it.
        least = sum(worst_case(stakes).by_stake.values())
        return Stressed(scenario, before_e6, least, -least, least)
    after = Book(stakes, moved, correlation)
    value, shortfall = _value(after, paths, seed)
    return Stressed(scenario, before_e6, value, shortfall, worst_case(stakes).total_e6)


def _value(book: Book, paths: int, seed: int) -> tuple[int, int]:
    found = simulate(book.stakes, book.markets, book.correlation, paths, seed)
    return round(found.mean_e6), round(found.tail(0.99).es)


def _filled(stakes: Sequence[Stake], orders: Sequence[RestingOrder]) -> list[Stake]:
    by_name = {stake.name: stake for stake in stakes}
    for order in orders:
        stake = by_name.get(order.stake)
        if stake is None:
            raise BadValue(f"an open order is for {order.stake!r}, which is no stake of the book")
        by_name[order.stake] = replace(
            stake,
            up_e6=stake.up_e6 + order.up_e6,
            down_e6=stake.down_e6 + order.down_e6,
            cost_e6=stake.cost_e6 + order.cost_e6,
        )
    return list(by_name.values())


def scenarios_of(raw: Any, source: str) -> tuple[Scenario, ...]:
    """Read scenarios from parsed YAML: a list of them, or `scenarios:` with one.

    Raises
    ------
    ConfigError
        One line per fault, naming the source, the scenario and the key.
    """
    if isinstance(raw, Mapping) and set(raw) == {"scenarios"}:
        raw = raw["scenarios"]
    if not isinstance(raw, list) or not raw:
        raise ConfigError(f"{source}: must hold a list of scenarios")
    found: list[Scenario] = []
    faults: list[str] = []
    for index, item in enumerate(raw):
        try:
            found.append(Scenario.model_validate(item))
        except ValidationError as error:
            name = item.get("name", index + 1) if isinstance(item, Mapping) else index + 1
            faults += [f"{source}: scenario {name}: {_fault(line)}" for line in error.errors()]
    names = [scenario.name for scenario in found]
    faults += [
        f"{source}: two scenarios are called {name!r}"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if faults:
        raise ConfigError("\n".join(faults))
    return tuple(found)


def _fault(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "it"
    if item["type"] == "extra_forbidden":
        close = get_close_matches(where, Scenario.model_fields, n=1)
        return f"unknown key {where!r}" + (f"; did you mean {close[0]!r}?" if close else "")
    if item["type"] == "missing":
        return f"key {where!r} is missing"
    return f"{where}={item.get('input')!r}: {item['msg']}"
