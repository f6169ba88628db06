"""Reader of the 15-minute BTC books at 1 Hz: five levels of both tokens, spot, last trades."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models.errors import ConfigError
from models.markets import Market, Side
from models.settlement import Tick
from models.tape import DTYPES, Row, Tape
from models.units import MILLISECOND_NS, PRICE_ONE, SECOND_NS
from store.tape.columns import Columns, filled, joined, tape_of
from store.tape.order import in_order, refuse_leaps, with_gaps
from store.tape.readers import parts
from store.tape.rules import Findings

FILE = "book5_1hz.parquet"
DEPTH = 5

_TOKENS = ("up", "down")
_LEVELS = range(1, DEPTH + 1)
_PLAIN = (
    "ts_ms", "market_slug", "condition_id", "token_id_up", "token_id_down",
    "window_start_ms", "window_end_ms", "chainlink_btc", "window_start_price",
)  # fmt: skip
_TRADE = tuple(f"last_trade_{what}_{token}" for token in _TOKENS for what in ("px", "sz", "side"))
_BOOK = tuple(
    f"{side}_{what}_{token}_{level}"
    for token in _TOKENS
    for side in ("bid", "ask")
    for what in ("px", "sz")
    for level in _LEVELS
)

Levels = list[tuple[int, int]]


def read_book5(path: Path, *, gap_s: float = 10.0) -> Tape:
    """Read the recording, a file or its folder.

    A row becomes the Chainlink price, the trades that are new since the row before, and the whole
    Up book; Down's book is only checked to be its mirror. Books and trades end at the window's
    end, prices go on. Strike and winner follow from the prices by the rule of the window's date,
    as `Report.notes` says; a window whose end was not recorded stays unresolved.

    Raises
    ------
    ConfigError
        The file can't be read, lacks columns, or goes back in time.
    """
    file = parts.find(path, FILE)
    columns = parts.parquet_columns(file, [*_PLAIN, *_TRADE, *_BOOK])
    findings = Findings(str(file))
    kept = _without_duplicates(columns, findings)
    refuse_leaps(columns["ts_ms"][kept] * MILLISECOND_NS, findings)
    reading = _Reading(columns, findings)
    for i in kept:
        reading.row(i)
    return reading.tape(len(columns["ts_ms"]), round(gap_s * SECOND_NS))


def _without_duplicates(columns: dict[str, Any], findings: Findings) -> list[int]:
    seen: set[tuple[str, ...]] = set()
    kept: list[int] = []
    for i, row in enumerate(zip(*columns.values(), strict=True)):
        key = tuple(map(str, row))  # as text, a NaN equals itself
        if key in seen:
            findings.add("duplicate_row", f"row {i}: at ts_ms {row[0]}")
            continue
        seen.add(key)
        kept.append(i)
    return kept


@dataclass(slots=True)
class _Window:
    index: int
    market: Market
    tick_e4: int = parts.TICK_E4
    first_price_e8: int | None = None
    trades: dict[str, tuple[Any, ...]] = field(default_factory=dict)


class _Reading:
    def __init__(self, columns: dict[str, Any], findings: Findings) -> None:
        self._columns = {name: column.tolist() for name, column in columns.items()}
        for name in _BOOK:
            convert = parts.prices_e4 if "_px_" in name else parts.sizes_e6
            self._columns[name] = convert(columns[name]).tolist()
        self._findings = findings
        self._windows: dict[str, _Window] = {}
        self._rows: list[tuple[int, ...]] = []
        self._ticks: list[Tick] = []

    def row(self, i: int) -> None:
        at = self._columns
        window = self._window(i)
        if window is None:
            return
        ts_ns = at["ts_ms"][i] * MILLISECOND_NS
        self._spot(i, ts_ns, window)
        if ts_ns >= window.market.end_ns:
            self._findings.add("late_row", f"row {i}: after the end of {window.market.slug}")
            return
        for side, price, size in self._new_trades(i, window):
            self._add(ts_ns, Row.TRADE, side, window.index, price, size)
        bids, asks = self._levels(i, "bid", "up"), self._levels(i, "ask", "up")
        if bids is None or asks is None or not self._sound(i, bids, asks):
            self._add(ts_ns, Row.CLEAR, 0, window.index)
            return
        self._tick(i, ts_ns, window, [price for price, _ in bids + asks])
        self._add(ts_ns, Row.CLEAR, 0, window.index)
        for side, levels in enumerate((bids, asks)):
            for price, size in levels:
                self._add(ts_ns, Row.LEVEL, side, window.index, price, size)

    def tape(self, rows: int, gap_ns: int) -> Tape:
        endings: list[Columns] = []
        markets: list[Market] = []
        for window in self._windows.values():
            strike_e8 = self._strike(window)
            market = replace(window.market, strike_e8=strike_e8)
            closing_e8 = parts.boundary_e8(self._ticks, market.end_ns, parts.MOST_STALE_NS, market)
            outcome = parts.derived_winner(strike_e8, closing_e8)
            if outcome is None:
                self._findings.note(f"{market.slug} is not recorded to its end: unresolved")
            else:
                endings.append(parts.resolved_row(window.index, market.end_ns, outcome))
            markets.append(market)
        self._findings.note(
            "strikes and winners are derived from the recorded Chainlink prices by the settlement "
            f"rule of their date ({', '.join(sorted({m.settlement.value for m in markets}))}); "
            "the recording has no official outcome"
        )
        self._findings.note("a trade is the last of its second: others in it are not recorded")
        parts.note_resolution(self._findings)
        table = _table(self._rows)
        columns = with_gaps(in_order(joined([table, *endings]), self._findings), gap_ns,
                            self._findings)  # fmt: skip
        report = self._findings.report(rows)
        return tape_of(columns, tuple(markets), ("BTC",), DEPTH, (report,))

    # --- one row --------------------------------------------------------------------------------

    def _add(
        self, ts_ns: int, kind: Row, side: int, market: int, price: int = 0, size: int = 0
    ) -> None:
        self._rows.append((ts_ns, ts_ns, kind, side, market, price, size))

    def _window(self, i: int) -> _Window | None:
        at = self._columns
        slug, tokens = at["market_slug"][i], (at["token_id_up"][i], at["token_id_down"][i])
        window = self._windows.get(slug)
        if window is None:
            market = parts.updown_market(slug, at["condition_id"][i], tokens)
            window = self._windows[slug] = _Window(len(self._windows), market)
        market = window.market
        if (market.up_token, market.down_token) != tokens:
            self._findings.add("unknown_token", f"row {i}: {tokens} are not those of {slug}")
            return None
        span = at["window_start_ms"][i] * MILLISECOND_NS, at["window_end_ms"][i] * MILLISECOND_NS
        if (market.start_ns, market.end_ns) != span:
            raise ConfigError(f"{self._findings.source}: row {i}: the window of {slug} is {span}")
        return window

    def _spot(self, i: int, ts_ns: int, window: _Window) -> None:
        price, first = self._columns["chainlink_btc"][i], self._columns["window_start_price"][i]
        # Before the recorder had the window's own first tick it repeated a price that was up to
        # minutes old; such rows say nothing about the spot.
        if first != first or price != price:
            self._findings.add("stale_spot", f"row {i}: {price} before {window.market.slug}'s own")
            return
        if not 0 < price < 1e9:
            self._findings.add("malformed_row", f"row {i}: chainlink_btc is {price}")
            return
        if window.first_price_e8 is None:
            window.first_price_e8 = parts.spot_e8(first)
        self._ticks.append((ts_ns, parts.spot_e8(price)))
        self._add(ts_ns, Row.SPOT, 0, 0, 0, parts.spot_e8(price))

    def _new_trades(self, i: int, window: _Window) -> list[tuple[int, int, int]]:
        """Trades told since the row before, as (taker's side, price, size) in Up's prices."""
        found = []
        for name in _TOKENS:
            now = tuple(self._columns[f"last_trade_{w}_{name}"][i] for w in ("px", "sz", "side"))
            before = window.trades.get(name)
            window.trades[name] = now
            if before is None or before == now or now[0] != now[0] or now[2] is None:
                continue
            price, size = int(parts.prices_e4(now[0])), int(parts.sizes_e6(now[1]))
            if not 0 < price < PRICE_ONE or size <= 0:
                rule = "off_grid_price" if size > 0 else "negative_size"
                self._findings.add(rule, f"row {i}: last trade of {name} is {now[0]} x {now[1]}")
                continue
            up = name == "up"
            side = int((Side(now[2]) is Side.SELL) == up)
            found.append((side, price if up else PRICE_ONE - price, size))
        return found

    def _levels(self, i: int, side: str, token: str) -> Levels | None:
        """One side of a book, best first; None where it can't be believed."""
        levels: Levels = []
        for level in _LEVELS:
            price = self._columns[f"{side}_px_{token}_{level}"][i]
            size = self._columns[f"{side}_sz_{token}_{level}"][i]
            if price == -1:
                continue
            if not 0 < price < PRICE_ONE:
                self._findings.add("off_grid_price", f"row {i}: {side} level {level} of {token}")
                return None
            if size <= 0:
                self._findings.add("negative_size", f"row {i}: {side} level {level} of {token}")
                return None
            levels.append((price, size))
        prices = [price for price, _ in levels]
        if prices != sorted(set(prices), reverse=side == "bid"):
            self._findings.add("unordered_levels", f"row {i}: {side}s of {token}: {prices}")
            return None
        return levels

    def _sound(self, i: int, bids: Levels, asks: Levels) -> bool:
        if bids and asks and bids[0][0] >= asks[0][0]:
            self._findings.add("crossed_book", f"row {i}: bid {bids[0][0]} ask {asks[0][0]} (e4)")
            return False
        down_bids, down_asks = self._levels(i, "bid", "down"), self._levels(i, "ask", "down")
        if down_bids != _mirrored(asks) or down_asks != _mirrored(bids):
            self._findings.add("mirror_broken", f"row {i}: Up {bids[:1]} {asks[:1]}")
        return True

    def _tick(self, i: int, ts_ns: int, window: _Window, prices: list[int]) -> None:
        while any(price % window.tick_e4 for price in prices):
            window.tick_e4 //= 10
            self._findings.add("finer_tick", f"row {i}: {window.market.slug}")
            self._add(ts_ns, Row.TICK, 0, window.index, window.tick_e4)

    def _strike(self, window: _Window) -> int | None:
        market = window.market
        known = parts.boundary_e8(self._ticks, market.start_ns, parts.MOST_STALE_NS, market)
        if known is None and window.first_price_e8 is not None:
            self._findings.note(
                f"{market.slug}: no price at its start; the strike is the recorder's first price, "
                "seconds later"
            )
            return window.first_price_e8
        return known


def _mirrored(levels: Levels) -> Levels:
    return [(PRICE_ONE - price, size) for price, size in levels]


def _table(rows: list[tuple[int, ...]]) -> Columns:
    if not rows:
        return filled(0)
    return filled(len(rows), **dict(zip(DTYPES, zip(*rows, strict=True), strict=True)))
