"""The floor's open book as the risk models want it: stakes, spot, volatility, correlation."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
import numpy.typing as npt

from models.markets import Market as Window
from models.markets import Outcome, Settlement, Side
from models.units import SECOND_NS, SHARE
from risk.digital import TWAP_S
from risk.hedging import Exposures, book_greeks
from risk.limits import open_cost_e6
from risk.resolution import Market, Stake
from risk.stress import Book, RestingOrder
from store import exposure
from store.database import Database
from store.exposure import Held, OpenOrder, SpotPoint

LOOK_BACK_S = 900.0
"""Volatility is that of the last quarter of an hour."""
GRID_S = 5
LEAST_POINTS = 12
USUAL_VOLATILITY: Mapping[str, float] = {"BTC": 8e-5, "ETH": 11e-5}
"""Per root second, where too little was seen: about 45 and 62 % a year."""
OTHER_VOLATILITY = 15e-5
USUAL_CORRELATION = 0.8


@dataclass(frozen=True, slots=True)
class FloorBook:
    """The book, its markets by name, and what it lacks.

    ``names`` maps a stake's name to its condition id; ``assumed`` says what had to be assumed.
    """

    book: Book
    windows: Mapping[str, Window]
    held: tuple[Held, ...]
    orders: tuple[OpenOrder, ...]
    assumed: tuple[str, ...]
    at_ns: int

    @property
    def one_sided_e6(self) -> int:
        """Shares without their opposite over all markets, open BUYs counted as filled."""
        resting: dict[str, list[int]] = {}
        for order in self.book.orders:
            row = resting.setdefault(order.stake, [0, 0])
            row[0] += order.up_e6
            row[1] += order.down_e6
        total = 0
        for stake in self.book.stakes:
            up, down = resting.get(stake.name, (0, 0))
            total += max(stake.up_e6 + up - stake.down_e6, stake.down_e6 + down - stake.up_e6, 0)
        return total

    def greeks(self) -> dict[str, Exposures]:
        """The book's Greeks by asset."""
        return book_greeks(self.book.stakes, self.book.markets)

    def per_share(self) -> dict[str, Exposures]:
        """Greeks of one share of Up, by condition id."""
        found = {}
        for stake in self.book.stakes:
            one = Stake(
                stake.name, stake.asset, stake.strike, stake.seconds_left, SHARE, 0, 0,
                stake.averaged, stake.average_so_far,
            )  # fmt: skip
            each = book_greeks([one], self.book.markets)[stake.asset]
            found[self.windows[stake.name].condition_id] = each
        return found


async def read_book(database: Database, now_ns: int | None = None) -> FloorBook:
    """Read positions, open orders, current markets and prices, and make a book of them."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    now_s = now_ns / SECOND_NS
    held = await exposure.held(database)
    orders = await exposure.open_orders(database)
    current = await exposure.current_markets(database, now_s)
    windows = {
        one.condition_id: one
        for one in (*current, *(o.market for o in orders), *(h.market for h in held))
    }
    series = {
        asset: await exposure.spot_series(database, asset, now_s - LOOK_BACK_S, now_s + 5)
        for asset in sorted({window.asset for window in windows.values()})
    }
    return make_book(held, orders, list(windows.values()), series, now_ns)


def make_book(
    held: Sequence[Held],
    orders: Sequence[OpenOrder],
    windows: Sequence[Window],
    series: Mapping[str, Sequence[SpotPoint]],
    now_ns: int,
) -> FloorBook:
    """Put a book together. A market of an asset without a price is left out, and said so."""
    assumed: list[str] = []
    markets: dict[str, Market] = {}
    for asset, points in series.items():
        if points:
            markets[asset] = Market(points[-1].price, _volatility(asset, points, assumed))
        else:
            assumed.append(f"no price of {asset} lately: its markets are left out")
    names = _names(windows)
    stakes = []
    shares = {one.market.condition_id: one for one in held}
    for window in sorted(windows, key=lambda one: (one.end_ns, one.slug)):
        if window.asset not in markets:
            continue
        name = names[window.condition_id]
        own = shares.get(window.condition_id)
        strike = window.strike_e8
        if strike is None:
            assumed.append(f"{name}: no price to beat yet, the price now stands in")
        left_s = (window.end_ns - now_ns) / SECOND_NS
        averaged = window.settlement is Settlement.TWAP_60
        stakes.append(
            Stake(
                name=name,
                asset=window.asset,
                strike=strike / 1e8 if strike is not None else markets[window.asset].spot,
                seconds_left=left_s,
                up_e6=own.up_e6 if own else 0,
                down_e6=own.down_e6 if own else 0,
                cost_e6=own.paid_e6 if own else 0,
                averaged=averaged,
                average_so_far=_average(series[window.asset], window, now_ns) if averaged else None,
            )
        )
    resting = [
        _resting(one, names[one.market.condition_id])
        for one in orders
        if one.order.request.side is Side.BUY and one.market.asset in markets
    ]
    return FloorBook(
        Book(stakes, markets, _correlations(series, markets), resting),
        {names[one.condition_id]: one for one in windows},
        tuple(held),
        tuple(orders),
        tuple(assumed),
        now_ns,
    )


def _names(windows: Sequence[Window]) -> dict[str, str]:
    """Stakes are called by their slug; of two with one (a simulator begun anew) by both."""
    slugs = [window.slug for window in windows]
    return {
        window.condition_id: window.slug
        if slugs.count(window.slug) == 1
        else f"{window.slug} {window.condition_id[:10]}"
        for window in windows
    }


def _resting(one: OpenOrder, name: str) -> RestingOrder:
    request, size = one.order.request, one.order.open_e6
    up = request.outcome is Outcome.UP
    cost = open_cost_e6(one.order, one.market)
    return RestingOrder(name, size if up else 0, 0 if up else size, cost)


def _average(points: Sequence[SpotPoint], window: Window, now_ns: int) -> float | None:
    """Mean price of the part of the averaging minute that has passed."""
    begin = window.end_ns - round(TWAP_S * SECOND_NS)
    if now_ns <= begin:
        return None
    inside = [point.price for point in points if begin < point.ts_ns <= window.end_ns]
    return sum(inside) / len(inside) if inside else None


def grid(points: Sequence[SpotPoint], step_s: int = GRID_S) -> npt.NDArray[np.float64]:
    """Log prices on a grid of `step_s`, the last known one where nothing was said."""
    if len(points) < 2:
        return np.empty(0)
    times = np.array([point.ts_ns for point in points]) / SECOND_NS
    logs = np.log([point.price for point in points])
    at = np.arange(np.ceil(times[0]), times[-1] + 1e-9, step_s)
    return np.asarray(logs[np.searchsorted(times, at, side="right") - 1], np.float64)


def _volatility(asset: str, points: Sequence[SpotPoint], assumed: list[str]) -> float:
    """Standard deviation of log returns per root second, over the look-back."""
    moves = np.diff(grid(points))
    if len(moves) >= LEAST_POINTS:
        found = float(np.sqrt(np.mean(moves * moves) / GRID_S))
        if found > 0:
            return found
    assumed.append(f"too few prices of {asset} for a volatility: the usual one stands in")
    return USUAL_VOLATILITY.get(asset, OTHER_VOLATILITY)


def _correlations(
    series: Mapping[str, Sequence[SpotPoint]], markets: Mapping[str, Market]
) -> dict[tuple[str, str], float]:
    """Of all pairs of assets: from returns over the same grid, else the usual one."""
    names = sorted(markets)
    return {
        (one, other): _correlation(series[one], series[other])
        for index, one in enumerate(names)
        for other in names[index + 1 :]
    }


def _correlation(one: Sequence[SpotPoint], other: Sequence[SpotPoint]) -> float:
    begin = max(one[0].ts_ns, other[0].ts_ns)
    end = min(one[-1].ts_ns, other[-1].ts_ns)
    moves = [
        np.diff(grid([p for p in points if begin <= p.ts_ns <= end])) for points in (one, other)
    ]
    size = min(len(part) for part in moves)
    if size < LEAST_POINTS:
        return USUAL_CORRELATION
    a, b = moves[0][:size], moves[1][:size]
    scale = sqrt(float(a @ a) * float(b @ b))
    return max(-1.0, min(1.0, float(a @ b) / scale)) if scale > 0 else USUAL_CORRELATION


def log_moves(points: Sequence[SpotPoint], step_s: int) -> npt.NDArray[np.float64]:
    """Log returns over every `step_s`."""
    return np.diff(grid(points, step_s))


def distance_bps(price: float, strike: float) -> float:
    """How far a price is from the strike, in 0.01 %."""
    return abs(log(price / strike)) * 1e4
