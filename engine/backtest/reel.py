"""A tape being played: the arrays the compiled loops work on, and the loops by their names."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.backtest import kernels
from engine.backtest import layout as on
from engine.backtest.checking import Check, read_only
from engine.fills.latency import Delay
from models.tape import Tape

Ints = npt.NDArray[np.int64]

# Their arguments are spread from tuples, which a type checker cannot count.
_RUN_VIEW: Any = kernels.run_view
_RUN_VENUE: Any = kernels.run_venue
_RUN_BOTH: Any = kernels.run_both
_RUN_AHEAD: Any = kernels.run_ahead
_SKIM: Any = kernels.skim

_DELAYS = 4096
_TOPS = 4096
_FIRST_SLOTS = 4
_RELEASE_ROWS = 1 << 17
_FAR_BEHIND = 4096


class Books:
    """Ladders by slot: dense sizes by price with their bits, and their facts (`layout`)."""

    def __init__(self) -> None:
        self.sizes: Ints = np.zeros((_FIRST_SLOTS, 2, on.PLACES), np.int64)
        self.meta: Ints = np.zeros((_FIRST_SLOTS, on.META), np.int64)
        for slot in range(_FIRST_SLOTS):
            self.clean(slot)

    def grow(self) -> None:
        """Double the slots."""
        had = len(self.meta)
        self.sizes = np.concatenate([self.sizes, np.zeros_like(self.sizes)])
        self.meta = np.concatenate([self.meta, np.zeros_like(self.meta)])
        for slot in range(had, 2 * had):
            self.clean(slot)

    def clean(self, slot: int) -> None:
        """Make a slot an empty, free one."""
        self.sizes[slot] = 0
        row = self.meta[slot]
        row[:] = 0
        row[on.BEST_ASK] = row[on.OUR_ASK] = on.NO_ASK
        row[on.ARMED] = on.NEVER


class Reel:
    """Plays a tape's rows into ladders of the view, of the venue, and of a scout ahead of both.

    Parameters
    ----------
    first, last
        Rows played: from `first` up to and without `last`.
    on_market
        Called with a market's index when its first row comes; returns whether it is wanted.
    on_slot
        Called with the index and the slot of one that is, before its first row is taken.
    """

    def __init__(
        self,
        tape: Tape,
        first: int,
        last: int,
        feed: Delay,
        on_market: Callable[[int], bool],
        on_slot: Callable[[int, int], None],
        scouting: bool,
        check: Check | None = None,
    ) -> None:
        self.tape = tape
        self.view, self.venue = Books(), Books()
        self.scout = Books() if scouting else None
        self.at: Ints = np.zeros(on.AT, np.int64)
        self.at[on.VIEW] = self.at[on.VENUE] = first
        self.at[on.END] = last
        self.first = first
        self.slot_of = np.full(max(1, len(tape.markets)), on.UNKNOWN, np.int32)
        self.watch = np.zeros(self.view.sizes.shape, np.uint8)
        self.least: Ints = np.zeros(self.view.sizes.shape, np.int64)
        """Least the venue showed of a level since we took of it, where `watch` says `TOOK`."""
        self._moved: Ints = np.zeros((on.MOST_MOVED, 3), np.int64)
        self.spots: Ints = np.zeros((on.MOST_SPOTS, 5), np.int64)
        self.prints: Ints = np.zeros((on.MOST_PRINTS, 4), np.int64)
        delays = np.array([feed.next_ns() for _ in range(_DELAYS)], np.int64)
        self._delays = delays[:1].copy() if (delays == delays[0]).all() else delays
        self.far_behind = _FAR_BEHIND
        """Rows from which on copying the view's books is cheaper than playing them."""
        self.followed = False
        """Whether the venue's books must take every row."""
        self._on_market = on_market
        self._on_slot = on_slot
        self._free: list[int] = []
        self._tops: Ints = np.zeros((7, _TOPS), np.int64)
        self._scout_at = first
        self._released = first
        self._check = check
        self._rows = read_only(tape)
        ts, _, *rest = self._rows
        self._happening: tuple[Any, ...] = (ts, *rest)

    # --- slots --------------------------------------------------------------------------------

    def _sets(self) -> list[Books]:
        return [self.view, self.venue] + ([self.scout] if self.scout else [])

    def _admit(self, market: int) -> None:
        """Give a market its slot, or ignore it from now on."""
        if not self._on_market(market):
            self.slot_of[market] = on.IGNORED
            return
        if self._free:
            slot = self._free.pop()
        else:
            slot = int(self.at[on.SLOTS])
            if slot == len(self.view.meta):
                for books in self._sets():
                    books.grow()
                self.watch = np.concatenate([self.watch, np.zeros_like(self.watch)])
                self.least = np.concatenate([self.least, np.zeros_like(self.least)])
            self.at[on.SLOTS] = slot + 1
        assets, mine = self.tape.assets, self.tape.markets[market].asset
        asset = assets.index(mine) + 1 if mine in assets else len(assets) + 1
        for books in self._sets():
            books.meta[slot, on.ASSET] = asset
        # Nobody could say before what to wait for: the first moment stops the loop in any case.
        self.view.meta[slot, on.ARMED] = 0
        self.slot_of[market] = slot
        self._on_slot(market, slot)

    def slot(self, market: int) -> int | None:
        """Slot of a market that has one."""
        slot = int(self.slot_of[market])
        return slot if slot >= 0 else None

    def dismiss(self, market: int) -> None:
        """Ignore a market's rows from now on."""
        slot = self.slot(market)
        self.slot_of[market] = on.IGNORED
        if slot is not None:
            for books in self._sets():
                books.clean(slot)
            self.watch[slot] = 0
            self._free.append(slot)

    # --- playing ------------------------------------------------------------------------------

    @property
    def row(self) -> int:
        """Row that a SPECIAL stop is about."""
        return int(self.at[on.ROW])

    @property
    def seen_ns(self) -> int:
        """Time of the last moment the view took."""
        return int(self.at[on.SEEN])

    @property
    def happened_ns(self) -> int:
        """Time of the last moment that happened at the venue."""
        return int(self.at[on.HAPPENED])

    @property
    def over(self) -> bool:
        """Whether the view has taken every row."""
        return bool(self.at[on.VIEW] >= self.at[on.END])

    @property
    def lag(self) -> int:
        """Rows the venue's books are behind the view's."""
        return int(self.at[on.VIEW] - self.at[on.VENUE])

    @property
    def done(self) -> int:
        return int(self.at[on.VIEW]) - self.first

    def run(self, limit_ns: int, engaged: bool) -> int:
        """Play up to a time; with `engaged` the venue's books too. Returns why it stopped.

        Raises
        ------
        ConfigError
            A row up to then is one that no tape may have.
        """
        self.checked(limit_ns)
        code = self._run(limit_ns, engaged)
        self._release()
        return code

    def checked(self, now_ns: int) -> None:
        """Have the rows up to a time checked, where anybody asked for it."""
        if self._check is not None:
            self._check.until(now_ns)

    def see_until(self, row: int) -> None:
        """Let the view take the rows before `row`, whatever happens in them."""
        self.view.meta[:, on.ARMED] = on.NEVER
        end = int(self.at[on.END])
        self.at[on.END] = row
        try:
            while self.at[on.VIEW] < row:
                self._run(on.NEVER, False)
        finally:
            self.at[on.END] = end

    def _run(self, limit_ns: int, engaged: bool) -> int:
        while True:
            view = self.view
            if engaged:
                code = _RUN_BOTH(
                    limit_ns, *self._rows, self.at, self._delays, self.slot_of, view.sizes,
                    view.meta, self.venue.sizes, self.venue.meta, self.watch, self.prints,
                    self.least, self._moved, self.spots,
                )  # fmt: skip
            else:
                code = _RUN_VIEW(
                    limit_ns, *self._rows, self.at, self._delays, self.slot_of, view.sizes,
                    view.meta, self.spots,
                )  # fmt: skip
            if code != on.NEW_MARKET:
                return int(code)
            self._admit(int(self.tape.market[self.row]))

    def catch_up(self, now_ns: int, copying: bool) -> int:
        """Let the venue's books go on to `now_ns`; returns why it stopped, `LIMIT` or `OURS`.

        No order of ours rests in them. With `copying` nothing was taken of them either, and rows
        the view took already may be left out.
        """
        if self.lag > self.far_behind and (copying or self._skimmed()):
            # The same rows make the same books: what the view has seen need not happen again.
            slots = self.at[on.SLOTS]
            self.venue.sizes[:slots] = self.view.sizes[:slots]
            self.venue.meta[:slots, : on.ASSET] = self.view.meta[:slots, : on.ASSET]
            self.at[on.VENUE] = self.at[on.VIEW]
        self.checked(now_ns)
        code = self._run_venue(now_ns)
        if self.lag <= 0:
            self.view.meta[:, on.EMPTIED] = 0
        return code

    def _skimmed(self) -> bool:
        """Note what is to be known of rows the view took already; False where it can't be."""
        ts, seen, slots = self.tape.ts_ns, int(self.at[on.VIEW]), self.at[on.SLOTS]
        if seen < self.at[on.END] and ts[seen] == ts[seen - 1]:
            return False
        facts = self.venue.meta[:slots]
        dark = (facts[:, on.BEST_BID] == on.NO_BID) & (facts[:, on.BEST_ASK] == on.NO_ASK)
        played = dark | (facts[:, on.EVERY] != 0) | (self.view.meta[:slots, on.EMPTIED] != 0)
        if (played & (facts[:, on.ENGAGED] != 0)).any():
            return False
        return bool(
            _SKIM(
                seen, *self._happening, self.at, self.slot_of, self.venue.meta, self.watch,
                self.least,
            )
        )  # fmt: skip

    def _run_venue(self, now_ns: int) -> int:
        while True:
            code = _RUN_VENUE(
                now_ns, *self._happening, self.at, self.slot_of, self.venue.sizes,
                self.venue.meta, self.watch, self.prints, self.least, self._moved,
            )  # fmt: skip
            if code == on.NEW_MARKET:
                self._admit(int(self.tape.market[self.row]))
            else:
                return int(code)

    def ahead(self, limit_ns: int) -> list[list[int]]:
        """Columns of best prices after each coming moment: see `kernels.run_ahead`."""
        assert self.scout is not None
        scout = self.scout
        self.checked(limit_ns)
        count, self._scout_at = _RUN_AHEAD(
            limit_ns, self._scout_at, *self._rows, self.at, self._delays, self.slot_of,
            scout.sizes, scout.meta, self._tops,
        )  # fmt: skip
        columns: list[list[int]] = self._tops[:, :count].tolist()
        return columns

    def take_spots(self) -> Ints:
        """Spot prices seen since they were last taken: time, when seen, asset, source, price."""
        rows = self.spots[: self.at[on.SPOTS]].copy()
        self.at[on.SPOTS] = 0
        return rows

    def take_prints(self) -> list[list[int]]:
        """Prints of the last moment at the venue that may concern our orders."""
        rows: list[list[int]] = self.prints[: self.at[on.PRINTS]].tolist()
        self.at[on.PRINTS] = 0
        return rows

    def _release(self) -> None:
        """Let a mapped tape give back the memory of rows behind every reader."""
        behind = int(self.at[on.VIEW])
        if behind - self._released < _RELEASE_ROWS:
            return
        if self.scout is not None:
            behind = min(behind, self._scout_at)
        if self.followed or self.lag <= self.far_behind:
            behind = min(behind, int(self.at[on.VENUE]))
        if behind - self._released >= _RELEASE_ROWS:
            self._released = behind
            self.tape.release(behind)
