"""Risk as people ask for it: where the floor stands, what it may lose, what others would say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import BadValue, FloorError
from models.markets import Outcome
from models.settings import Settings
from models.units import SHARE, to_cash_e6
from risk.breakers import BreakerState
from risk.guard import Board, how
from risk.hedging import Exposures, Hedge, suggest
from risk.policies import PolicyFile
from risk.resolution import Distribution, Stake, WorstCase, worst_case
from risk.var import (
    BackTest,
    TailRisk,
    christoffersen,
    cornish_fisher,
    filtered_historical,
    historical,
    kupiec,
    monte_carlo,
    parametric,
)
from store import exposure, risk
from store.agents import AgentOverview, agent_overview
from store.database import Database
from store.exposure import Offer
from store.portfolio import positions
from store.reserve import Reserve
from store.risk import Kill
from store.urls import urls
from tasks.risk_book import FloorBook, log_moves, read_book
from tasks.risk_facts import Worth, distribution, worth
from tasks.risk_policies import read_policies

QUOTED_S = 60.0
BACKTEST_STEP_S = 15
BACKTEST_WINDOW = 250
BACKTEST_LEAST = 500
"""Fewer observations than this decide nothing."""


@dataclass(frozen=True, slots=True)
class Used:
    """A policy with its limit and how much of it is used; None where that is asked per order."""

    name: str
    limit: float
    used: float | None
    unit: str

    @property
    def share(self) -> float | None:
        return None if self.used is None or self.limit == 0 else max(0.0, self.used) / self.limit


@dataclass(frozen=True, slots=True)
class BreakerLine:
    name: str
    state: BreakerState
    how: str


@dataclass(frozen=True, slots=True)
class HedgeLine:
    """A purchase that takes Greeks away, and what it costs at the best ask."""

    asset: str
    hedge: Hedge
    price: float


@dataclass(frozen=True, slots=True)
class Picture:
    """The floor's risk at one moment; money in e6."""

    kill: Kill | None
    used: tuple[Used, ...]
    breakers: tuple[BreakerLine, ...]
    reserved: Mapping[str, int]
    reserved_unknown: str
    """Why the reservations can't be told; empty when they can."""
    facts_age_s: float | None
    """None while nobody publishes facts."""
    found: FloorBook
    worth: Worth
    worst: WorstCase
    up_probability: Mapping[str, float]
    greeks: Mapping[str, Exposures]
    hedges: tuple[HedgeLine, ...]


async def picture(settings: Settings, database: Database) -> Picture:
    """Gather everything `floor risk show` shows.

    Raises
    ------
    ConfigError
        The policy file is wrong.
    StoreUnavailable, NotReady
        Postgres does not answer, or has no tables yet. Without Redis the rest is still shown.
    """
    file = read_policies(settings.risk_file, to_cash_e6(settings.initial_capital))
    board = Board(file.rules)
    board.load(await risk.breaker_rows(database))
    kill = await risk.killed(database) or risk.read_kill_file(settings.floor_home)
    reserved: dict[str, int] = {}
    facts: Mapping[str, object] = {}
    unknown = ""
    try:
        async with Reserve(urls(settings).redis) as reserve:
            reserved, facts = await reserve.used(), await reserve.facts()
    except FloorError as error:
        unknown = str(error)
    found = await read_book(database)
    value = worth(found, file)
    agents = await agent_overview(database)
    greeks = found.greeks()
    chances = _probabilities(found)
    busy: dict[str, set[str]] = {}
    for position in await positions(database):
        busy.setdefault(position.agent, set()).add(position.condition_id)
    day_pnl = facts.get("floor_day_pnl_e6")
    told_ns = facts.get("at_ns")
    return Picture(
        kill=kill,
        used=tuple(
            usage(
                file, settings, found, value, reserved, agents, greeks,
                day_pnl if isinstance(day_pnl, int) else sum(a.pnl_today_e6 for a in agents),
                busy, chances,
            )
        ),
        breakers=tuple(
            BreakerLine(name, one.state, how(one)) for name, one in sorted(board.breakers.items())
        ),
        reserved=reserved,
        reserved_unknown=unknown,
        facts_age_s=(found.at_ns - told_ns) / 1e9 if isinstance(told_ns, int) else None,
        found=found,
        worth=value,
        worst=worst_case(found.book.stakes),
        up_probability=chances,
        greeks=greeks,
        hedges=tuple(await _hedges(database, found)),
    )  # fmt: skip


def _probabilities(found: FloorBook) -> Mapping[str, float]:
    try:
        return distribution(found, found.book.stakes).up_probability if found.book.stakes else {}
    except BadValue:
        return {}


def usage(
    file: PolicyFile,
    settings: Settings,
    found: FloorBook,
    value: Worth,
    reserved: Mapping[str, int],
    agents: Sequence[AgentOverview],
    greeks: Mapping[str, Exposures],
    day_pnl_e6: int,
    busy: Mapping[str, set[str]],
    up_probability: Mapping[str, float],
) -> list[Used]:
    """Each policy of the file beside how much of it is used now, the largest where it is per
    agent, per market or per asset. `busy` are markets by agent that hold shares of its."""
    capital = file.capital_e6(to_cash_e6(settings.initial_capital))
    stakes = found.book.stakes
    lines: list[Used] = []

    def add(name: str, limit: float, used: float | None, unit: str) -> None:
        lines.append(Used(name, limit, used, unit))

    for policy in file.policies:
        name = policy.type
        if name in ("TradeLimit", "AgentLimit", "FloorLimit", "InventoryLimit"):
            used = {
                "AgentLimit": max(reserved.values(), default=0) / SHARE,
                "FloorLimit": sum(reserved.values()) / SHARE,
                "InventoryLimit": max((_unpaired(s, up_probability) for s in stakes), default=0.0),
            }.get(name)
            add(name, policy.limit_e6(capital) / SHARE, used, "$")  # type: ignore[union-attr]
        elif policy.type == "DailyLoss":
            lost = -day_pnl_e6
            if policy.per == "agent":
                lost = max((-agent.pnl_today_e6 for agent in agents), default=0)
            add(f"DailyLoss {policy.per}", policy.limit_e6(capital) / SHARE, lost / SHARE, "$")
        elif policy.type == "PositionLimit":
            most = max((max(s.up_e6, s.down_e6) for s in stakes), default=0)
            shares = most if policy.per == "market" else found.one_sided_e6
            add(f"PositionLimit {policy.per}", policy.max_shares, shares / SHARE, "shares")
        elif policy.type == "ConcurrentTrades":
            add(name, policy.max_markets, float(_most_markets(found, busy)), "markets")
        elif policy.type == "OrderRate":
            add(name, policy.per_second, None, "orders/s")
        elif policy.type == "PriceCollar":
            add(name, policy.max_distance, None, "$ off the mid")
        elif policy.type == "ExpiryCutoff":
            add(name, policy.min_seconds, None, "s left")
        elif policy.type == "VarLimit":
            add(name, float(policy.max_usd), value.var_e6 / SHARE, "$")
        elif policy.type == "GreeksLimit":
            for greek in ("delta", "gamma", "vega"):
                limit = getattr(policy, greek)
                if limit is not None:
                    now = max((abs(getattr(one, greek)) for one in greeks.values()), default=0.0)
                    add(f"GreeksLimit {greek}", limit, now, "")
    return lines


def _unpaired(stake: Stake, up_probability: Mapping[str, float]) -> float:
    """What the shares without their opposite are worth, in dollars."""
    up = up_probability.get(stake.name, 1.0)
    more = (stake.up_e6 - stake.down_e6) / SHARE
    return more * up if more > 0 else -more * (1 - up if stake.name in up_probability else 1.0)


def _most_markets(found: FloorBook, held: Mapping[str, set[str]]) -> int:
    busy = {agent: set(markets) for agent, markets in held.items()}
    for one in found.orders:
        busy.setdefault(one.order.request.agent, set()).add(one.market.condition_id)
    return max((len(markets) for markets in busy.values()), default=0)


async def _hedges(database: Database, found: FloorBook) -> list[HedgeLine]:
    """What to buy at the best asks to be rid of most Greeks, asset by asset."""
    tokens = {
        found.windows[stake.name].token(outcome): (stake.name, outcome)
        for stake in found.book.stakes
        if stake.seconds_left > 0
        for outcome in Outcome
    }
    asks = await exposure.best_asks(database, list(tokens), QUOTED_S)
    lines = []
    for asset in sorted(found.book.markets):
        own = [one for one in found.book.stakes if one.asset == asset]
        if not any(one.up_e6 != one.down_e6 for one in own):
            continue
        offers: dict[tuple[str, Outcome], Offer] = {
            tokens[token]: offer
            for token, offer in asks.items()
            if any(one.name == tokens[token][0] for one in own)
        }
        sizes = {key: offer.size_e6 for key, offer in offers.items()}
        for hedge in suggest(own, found.book.markets, sizes, asset):
            lines.append(HedgeLine(asset, hedge, offers[hedge.name, hedge.outcome].price))
    return lines


# --- value at risk --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measured:
    """VaR and ES by one method in e6 of cash, or why there is none."""

    method: str
    tail: TailRisk | None
    why_not: str = ""


def measure(rows: Sequence[Sequence[int]], confidence: float) -> list[Measured]:
    """VaR of the floor's results per window end, four ways; a row holds each agent's result."""
    table = np.asarray(rows, np.float64)
    totals = table.sum(axis=1) if table.size else np.empty(0)

    def simulated() -> TailRisk:
        if len(table) < 2:
            raise BadValue("a series of at least 2 windows is needed")
        cov = np.atleast_2d(np.cov(table, rowvar=False))
        return monte_carlo(table.mean(axis=0), cov, np.ones(table.shape[1]), confidence)

    ways = {
        "historical": lambda: historical(totals, confidence),
        "parametric": lambda: parametric(totals, confidence),
        "Cornish-Fisher": lambda: cornish_fisher(totals, confidence),
        "Monte Carlo": simulated,
    }
    found = []
    for method, way in ways.items():
        try:
            found.append(Measured(method, way()))
        except BadValue as error:
            found.append(Measured(method, None, str(error)))
    return found


@dataclass(frozen=True, slots=True)
class SpotTest:
    """Back-test of the spot model on prices the floor kept: moves beyond the forecast."""

    asset: str
    confidence: float
    observations: int
    violations: int
    tests: tuple[BackTest, ...]
    why_not: str = ""


async def back_test(database: Database, assets: Sequence[str], now_s: float) -> list[SpotTest]:
    """Forecast the tail of every move of the last day from those before, and count the misses."""
    found = []
    for asset in assets:
        points = await exposure.spot_series(
            database, asset, now_s - 86_400, now_s, float(BACKTEST_STEP_S)
        )
        moves = log_moves(points, BACKTEST_STEP_S)
        found += [spot_test(asset, moves, confidence) for confidence in (0.95, 0.99)]
    return found


def spot_test(asset: str, moves: "np.ndarray[tuple[int], np.dtype[np.float64]]",
              confidence: float) -> SpotTest:  # fmt: skip
    """Kupiec and Christoffersen on the forecasts of filtered historical simulation."""
    if len(moves) < BACKTEST_WINDOW + BACKTEST_LEAST:
        minutes = (BACKTEST_WINDOW + BACKTEST_LEAST) * BACKTEST_STEP_S // 60
        reason = f"{len(moves)} moves of {BACKTEST_STEP_S} s are kept; {minutes} minutes are needed"
        return SpotTest(asset, confidence, len(moves), 0, (), reason)
    forecasts = filtered_historical(moves, confidence, BACKTEST_WINDOW)[BACKTEST_WINDOW:]
    hits = moves[BACKTEST_WINDOW:] < -forecasts
    tests = (kupiec(len(hits), int(hits.sum()), confidence), christoffersen(hits))
    return SpotTest(asset, confidence, len(hits), int(hits.sum()), tests)


@dataclass(frozen=True, slots=True)
class ValueAtRisk:
    """Everything `floor risk var` tells."""

    windows: int
    """Window ends with results."""
    measured: Mapping[float, Sequence[Measured]]
    """By confidence, of the floor's result per window end."""
    book: Distribution | None
    """The exact distribution of the open book; None where it is empty or can't be simulated."""
    book_why_not: str
    worst_e6: int
    spot: Sequence[SpotTest]


async def value_at_risk(database: Database, now_s: float) -> ValueAtRisk:
    """Measure the floor's results and its open book, and back-test the spot model."""
    _, rows = await exposure.floor_results(database)
    found = await read_book(database)
    held = [one for one in found.book.stakes if one.up_e6 or one.down_e6]
    book, why_not = None, "" if held else "nothing is held"
    try:
        book = distribution(found, held, paths=100_000) if held else None
    except BadValue as error:
        why_not = str(error)
    assets = sorted(found.book.markets) or await exposure.assets(database)
    return ValueAtRisk(
        windows=len(rows),
        measured={confidence: measure(rows, confidence) for confidence in (0.95, 0.99)},
        book=book,
        book_why_not=why_not,
        worst_e6=worst_case(held).total_e6 if held else 0,
        spot=await back_test(database, assets, now_s),
    )
