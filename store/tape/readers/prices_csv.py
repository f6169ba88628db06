"""Reader of CSV files with one price a row: ``timestamp, market_id, question, yes_price, …``."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from models.errors import BadValue, ConfigError
from models.markets import Market, Outcome
from models.tape import DTYPES, Row, Tape
from models.units import MILLISECOND_NS, PRICE_ONE, SECOND_NS, to_price_e4
from store.tape.columns import Columns, filled, joined, tape_of
from store.tape.order import MOST_BACK_NS, in_order, with_gaps
from store.tape.readers import parts
from store.tape.rules import Findings

COLUMNS = ("timestamp", "market_id", "question", "yes_price", "volume", "token_id")


class Volume(StrEnum):
    """What the file's volume column holds; the format does not say."""

    IGNORE = "ignore"
    """No trades are made of it."""
    INTERVAL = "interval"
    """Shares traded since the market's row before: a print at this row's price."""
    CUMULATIVE = "cumulative"
    """Shares traded since the market began: prints of the differences."""


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The book that is put around a price; the file has none.

    Parameters
    ----------
    spread_e4
        From bid to ask, the price in the middle, both rounded outwards to the tick.
    size_e6
        Shares on either side.
    """

    spread_e4: int = 100
    size_e6: int = 100_000_000

    def __post_init__(self) -> None:
        if self.spread_e4 <= 0 or self.size_e6 <= 0:
            raise BadValue(f"{self}: spread and size must be above zero")


class _Malformed(Exception):
    """A line that is skipped, with the reason."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule


@dataclass(slots=True)
class _Seen:
    index: int
    market: Market
    last_ns: int
    volume: Decimal
    tick_e4: int = parts.TICK_E4


def read_prices_csv(
    path: Path,
    *,
    asset: str = "",
    timeframe: str = "",
    book: PriceBook | None = None,
    volume: Volume = Volume.IGNORE,
    winners: Mapping[str, Outcome] | None = None,
    gap_s: float = 3600.0,
) -> Tape:
    """Read prices of any number of markets; a line that can't be read is counted and skipped.

    Timestamps are ISO 8601 (UTC where they name no zone) or seconds or milliseconds since the
    epoch. Rows of different markets may come in any order, those of one market in time. The token
    of a market's first row is taken as its Yes (Up) token.

    Parameters
    ----------
    asset, timeframe
        Of markets whose id is no slug like ``btc-updown-15m-1771633800``; their window is from
        their first row to their last.
    winners
        How markets ended, by market id; others stay unresolved.

    Raises
    ------
    ConfigError
        The file can't be read, has no such columns, no row that is right, or a market's rows go
        back by more than five seconds.
    """
    findings = Findings(str(path))
    reading = _Reading(path, findings, book or PriceBook(), volume, asset, timeframe)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            count = reading.read(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: can't be read as CSV: {error}") from error
    return reading.tape(count, winners or {}, round(gap_s * SECOND_NS))


class _Reading:
    def __init__(
        self,
        path: Path,
        findings: Findings,
        book: PriceBook,
        volume: Volume,
        asset: str,
        timeframe: str,
    ) -> None:
        self._path = path
        self._findings = findings
        self._book = book
        self._volume = volume
        self._kind = asset, timeframe
        self._seen: dict[str, _Seen] = {}
        self._lines: set[tuple[str, ...]] = set()
        self._rows: list[tuple[int, ...]] = []

    def read(self, file: TextIO) -> int:
        """Read all lines; return how many there were."""
        lines = csv.reader(file)
        header = [name.strip().lower() for name in next(lines, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise ConfigError(
                f"{self._path}: columns {missing} are missing; the first line must name "
                f"{', '.join(COLUMNS)}"
            )
        places = [header.index(name) for name in COLUMNS]
        count = 0
        for values in lines:
            if not values:
                continue
            count += 1
            try:
                if len(values) != len(header):
                    raise _Malformed(
                        "malformed_row", f"{len(values)} values, the header has {len(header)}"
                    )
                self._line(tuple(values[place].strip() for place in places))
            except _Malformed as reason:
                where = f"{self._path.name}:{lines.line_num}"
                self._findings.add(reason.rule, f"{where}: {reason}")
        return count

    def _line(self, values: tuple[str, ...]) -> None:
        stamp, market_id, question, price_text, volume_text, token_id = values
        if not market_id or not token_id:
            raise _Malformed("malformed_row", "market_id or token_id is empty")
        ts_ns = _time_ns(stamp)
        price = _price_e4(price_text)
        volume = _number("volume", volume_text)
        if volume < 0:
            raise _Malformed("negative_size", f"volume {volume_text!r}")
        if values in self._lines:
            raise _Malformed("duplicate_row", f"{market_id} at {stamp}")
        seen = self._seen.get(market_id)
        if seen is not None and seen.market.up_token != token_id:
            raise _Malformed("unknown_token", f"{token_id!r} is not {market_id}'s first token")
        if seen is None:
            market = self._market(market_id, question, token_id, ts_ns)
            seen = self._seen[market_id] = _Seen(len(self._seen), market, ts_ns, Decimal(0))
        self._lines.add(values)
        ts_ns = self._in_time(seen, ts_ns, stamp)
        if ts_ns >= seen.market.end_ns and market_id == seen.market.slug:
            raise _Malformed("late_row", f"{stamp} is after the end of {market_id}")
        self._print(seen, ts_ns, price, volume)
        self._quote(seen, ts_ns, price)

    def _in_time(self, seen: _Seen, ts_ns: int, stamp: str) -> int:
        back = seen.last_ns - ts_ns
        if back > MOST_BACK_NS:
            raise ConfigError(
                f"{self._path}: {seen.market.condition_id} goes back in time by "
                f"{back / SECOND_NS:.3f} s at {stamp}; sort the file by timestamp"
            )
        if back > 0:
            self._findings.add("time_backwards", f"{seen.market.condition_id} at {stamp}")
        seen.last_ns = max(seen.last_ns, ts_ns)
        return seen.last_ns

    def _market(self, market_id: str, question: str, token_id: str, ts_ns: int) -> Market:
        tokens = (token_id, f"{token_id}:other")
        try:
            return parts.updown_market(market_id, market_id, tokens, question)
        except ConfigError:
            asset, timeframe = self._kind
            return parts.window_market(
                asset, timeframe, ts_ns, f"csv:{market_id}", market_id, tokens,
                end_ns=ts_ns + 1, question=question,
            )  # fmt: skip

    def _print(self, seen: _Seen, ts_ns: int, price: int, volume: Decimal) -> None:
        if self._volume is Volume.IGNORE:
            return
        traded = volume
        if self._volume is Volume.CUMULATIVE:
            traded = volume - seen.volume
            if traded < 0:
                raise _Malformed("negative_size", f"cumulative volume falls to {volume}")
            seen.volume = volume
        size = int(traded * 1_000_000)
        if size > 0:
            self._add(ts_ns, Row.TRADE, 0, seen.index, price, size)

    def _quote(self, seen: _Seen, ts_ns: int, price: int) -> None:
        if price % seen.tick_e4 and seen.tick_e4 > parts.FINE_TICK_E4:
            seen.tick_e4 = parts.FINE_TICK_E4
            self._findings.add("finer_tick", seen.market.condition_id)
            self._add(ts_ns, Row.TICK, 0, seen.index, seen.tick_e4)
        tick, spread, size = seen.tick_e4, self._book.spread_e4, self._book.size_e6
        bid = (2 * price - spread) // (2 * tick) * tick
        ask = -((-2 * price - spread) // (2 * tick)) * tick
        self._add(ts_ns, Row.CLEAR, 0, seen.index)
        if bid > 0:
            self._add(ts_ns, Row.LEVEL, 0, seen.index, bid, size)
        if ask < PRICE_ONE:
            self._add(ts_ns, Row.LEVEL, 1, seen.index, ask, size)

    def _add(
        self, ts_ns: int, kind: Row, side: int, market: int, price: int = 0, size: int = 0
    ) -> None:
        self._rows.append((ts_ns, ts_ns, kind, side, market, price, size))

    def tape(self, count: int, winners: Mapping[str, Outcome], gap_ns: int) -> Tape:
        if not self._rows:
            found = self._findings.report(count)
            first = next((texts[0] for texts in found.samples.values()), "it has no rows")
            raise ConfigError(f"{self._path}: no row could be read; {first}")
        markets, ends = [], []
        for market_id, seen in self._seen.items():
            market = seen.market
            if market.slug != market_id:
                market = replace(market, end_ns=seen.last_ns + 1)
            markets.append(market)
            if market_id in winners:
                ends.append(parts.resolved_row(seen.index, market.end_ns, winners[market_id]))
        self._note()
        columns = in_order(joined([_table(self._rows), *ends]), self._findings)
        columns = with_gaps(columns, gap_ns, self._findings)
        assets = tuple(dict.fromkeys(market.asset for market in markets))
        return tape_of(columns, tuple(markets), assets, 1, (self._findings.report(count),))

    def _note(self) -> None:
        book = self._book
        self._findings.note(
            f"books are assumed: {book.size_e6 // 1_000_000} shares on either side, "
            f"{book.spread_e4} e4 apart around the price; the file has none"
        )
        self._findings.note(f"volume is taken as: {self._volume.value}")
        self._findings.note("there is no spot price, so no strike; winners only where given")


def _table(rows: list[tuple[int, ...]]) -> Columns:
    return filled(len(rows), **dict(zip(DTYPES, zip(*rows, strict=True), strict=True)))


def _time_ns(text: str) -> int:
    try:
        number = Decimal(text)
        # Seconds until the year 5138, milliseconds from 1973 on.
        if abs(number) > 10**15:
            raise ValueError
        unit = SECOND_NS if abs(number) < 100_000_000_000 else MILLISECOND_NS
        stamp = int(number * unit)
    except (InvalidOperation, ValueError, OverflowError):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise _Malformed("malformed_row", f"timestamp {text!r} is no time") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        stamp = (since.days * 86_400 + since.seconds) * SECOND_NS + since.microseconds * 1_000
    if not 0 < stamp < 2**62:
        raise _Malformed("malformed_row", f"timestamp {text!r} is out of range")
    return stamp


def _number(name: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _Malformed("malformed_row", f"{name} {text!r} is no number") from None
    if not number.is_finite() or abs(number) > 10**12:
        raise _Malformed("malformed_row", f"{name} {text!r} is no number of use")
    return number


def _price_e4(text: str) -> int:
    number = _number("yes_price", text)
    try:
        price = to_price_e4(number)
    except BadValue:
        price = -1
    if not 0 < price < PRICE_ONE:
        raise _Malformed("off_grid_price", f"yes_price {text!r} is not between 0 and 1 in 0.0001")
    return price
