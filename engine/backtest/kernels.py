"""The compiled loops over a tape: keep ladders and spot in step, stop where Python must think.

Two readers go over the same rows. The *view* takes a row when we could have seen it (`recv_ns`
plus the feed's travel time), the *venue* when it happened (`ts_ns`): our orders meet the market
as it is when they arrive, not as we saw it. All rows of one time are one moment; the loops stop
between moments only, except where a row needs Python at once (`SPECIAL`, `NEW_MARKET`).
"""

# Integer arrays throughout; the names of their columns are in `layout`.
from typing import Any

import numpy as np

from engine.backtest.compiled import compiled, inlined
from engine.backtest.ladders import clear_book, set_level
from engine.backtest.layout import (
    ARMED,
    ASSET,
    BEST_ASK,
    BEST_BID,
    CHANGED,
    END,
    ENGAGED,
    EVERY,
    EVERY_SPOT,
    HAPPENED,
    HIT,
    IGNORED,
    LIMIT,
    MOST_MOVED,
    MOST_PRINTS,
    MOST_SPOTS,
    MOVED,
    NEVER,
    NEW_MARKET,
    NO_ASK,
    NO_BID,
    OUR_ASK,
    OUR_BID,
    OURS,
    PRINTS,
    READY,
    RECV,
    RESTS,
    ROW,
    SEEN,
    SLOTS,
    SPECIAL,
    SPOTS,
    STOP,
    TELL,
    TOOK,
    TOUCHED,
    TS,
    UNKNOWN,
    VENUE,
    VIEW,
)

CLEAR, LEVEL, TRADE, SPOT, TICK, RESOLVED, DARK = range(7)
"""As in `models.tape.Row`."""
CHAINLINK = 0
"""The spot source that views see."""

Ints = Any


@inlined
def seen_ns(recv: int, delays: Ints, last: int) -> int:
    """When a row received at `recv` is seen; rows of one receipt travel together."""
    at = recv + delays[((recv >> 10) ^ (recv >> 21) ^ recv) & (len(delays) - 1)]
    return at if at > last else last


@inlined
def touch(meta: Ints, slot: int, now: int, at: Ints) -> None:
    meta[slot, CHANGED] = 1
    if now >= meta[slot, ARMED]:
        at[STOP] = 1


@inlined
def see(
    ts: Ints, recv: Ints, kind: Ints, side: Ints, market: Ints, price: Ints, size: Ints, at: Ints,
    now: int, slot_of: Ints, sizes: Ints, meta: Ints, spots: Ints,
) -> int:  # fmt: skip
    """Take the rest of a moment into the view; `LIMIT` when it is complete and stops nothing."""
    # Unsigned: an index that cannot be negative is not wrapped round, which takes its time.
    i = np.uint64(at[VIEW])
    end = np.uint64(at[END])
    received = recv[i]
    at[SEEN] = now
    code = -1
    while code < 0:
        what = kind[i]
        if what == SPOT and at[EVERY_SPOT] == 0 and at[SPOTS] < MOST_SPOTS:
            k = at[SPOTS]
            spots[k, 0] = ts[i]
            spots[k, 1] = now
            spots[k, 2] = market[i]
            spots[k, 3] = side[i]
            spots[k, 4] = size[i]
            at[SPOTS] = k + 1
            if side[i] == CHAINLINK:
                for one in range(at[SLOTS]):
                    if meta[one, ASSET] == market[i] + 1:
                        touch(meta, one, now, at)
        elif what == SPOT:
            at[ROW] = i
            code = SPECIAL
        elif what == DARK:
            for one in range(at[SLOTS]):
                clear_book(sizes, meta, one)
                meta[one, READY] = 0
            at[ROW] = i
            code = SPECIAL
        else:
            slot = slot_of[market[i]]
            if slot >= 0:
                if what == LEVEL:
                    set_level(sizes, meta, slot, side[i], price[i], size[i])
                    meta[slot, TS] = ts[i]
                    meta[slot, RECV] = now
                    touch(meta, slot, now, at)
                elif what == CLEAR:
                    clear_book(sizes, meta, slot)
                    meta[slot, READY] = 1
                    meta[slot, TS] = ts[i]
                    meta[slot, RECV] = now
                    touch(meta, slot, now, at)
                elif what != TRADE or meta[slot, TELL] != 0:
                    at[ROW] = i
                    code = SPECIAL
            elif slot == UNKNOWN:
                at[ROW] = i
                code = NEW_MARKET
                i -= np.uint64(1)
        i += np.uint64(1)
        if code < 0 and (i == end or recv[i] != received):
            code = TOUCHED if at[STOP] != 0 else LIMIT
            at[STOP] = 0
    at[VIEW] = i
    return code


@compiled
def keep_least(at: Ints, sizes: Ints, meta: Ints, least: Ints, moved: Ints) -> None:
    """Note the least that was shown, after a moment, of levels we took of."""
    for k in range(at[MOVED]):
        slot, side, price = moved[k, 0], moved[k, 1], moved[k, 2]
        known = meta[slot, BEST_BID] != NO_BID or meta[slot, BEST_ASK] != NO_ASK
        if known and sizes[slot, side, price] < least[slot, side, price]:
            least[slot, side, price] = sizes[slot, side, price]
    at[MOVED] = 0


@compiled
def skim(
    last: int, ts: Ints, kind: Ints, side: Ints, market: Ints, price: Ints, size: Ints, at: Ints,
    slot_of: Ints, meta: Ints, watch: Ints, least: Ints,
) -> bool:  # fmt: skip
    """Note the least shown of levels we took of, up to row `last`, without keeping any book.

    `last` begins a moment. False when a row on the way is one that only `happen` can take; what
    was noted until then is what `happen` would have noted.
    """
    for i in range(at[VENUE], last):
        what = kind[i]
        if what == DARK:
            return False
        if what > LEVEL:
            continue
        slot = slot_of[market[i]]
        if slot < 0 or meta[slot, ENGAGED] == 0:
            continue
        if what == CLEAR:
            return False
        watched = watch[slot, side[i], price[i]]
        if watched == 0:
            continue
        if watched != TOOK:
            return False
        stays = True
        j = i + 1
        while j < last and ts[j] == ts[i]:
            if kind[j] == CLEAR or kind[j] == DARK:
                return False
            if kind[j] == LEVEL and market[j] == market[i] and side[j] == side[i]:
                stays = stays and price[j] != price[i]
            j += 1
        if stays and size[i] < least[slot, side[i], price[i]]:
            least[slot, side[i], price[i]] = size[i]
    return True


@inlined
def happen(
    ts: Ints, kind: Ints, side: Ints, market: Ints, price: Ints, size: Ints, at: Ints,
    slot_of: Ints, sizes: Ints, meta: Ints, watch: Ints, prints: Ints, least: Ints, moved: Ints,
) -> int:  # fmt: skip
    """Take the rest of a moment into the venue's books; `OURS` when it concerns our orders."""
    j = at[VENUE]
    end = at[END]
    now = ts[j]
    at[HAPPENED] = now
    code = -1
    while code < 0:
        what = kind[j]
        if what == DARK:
            for one in range(at[SLOTS]):
                clear_book(sizes, meta, one)
                if meta[one, ENGAGED] != 0:
                    meta[one, HIT] = 1
                    at[STOP] = 1
        elif what != SPOT:
            slot = slot_of[market[j]]
            if slot >= 0:
                if what == LEVEL:
                    dark = meta[slot, BEST_BID] == NO_BID and meta[slot, BEST_ASK] == NO_ASK
                    set_level(sizes, meta, slot, side[j], price[j], size[j])
                    if meta[slot, ENGAGED] != 0 and (
                        dark
                        or meta[slot, EVERY] != 0
                        or watch[slot, side[j], price[j]] == RESTS
                        or meta[slot, BEST_ASK] <= meta[slot, OUR_BID]
                        or meta[slot, BEST_BID] >= meta[slot, OUR_ASK]
                        or (meta[slot, BEST_BID] == NO_BID and meta[slot, BEST_ASK] == NO_ASK)
                    ):
                        meta[slot, HIT] = 1
                        at[STOP] = 1
                    elif watch[slot, side[j], price[j]] == TOOK:
                        k = at[MOVED]
                        if k < MOST_MOVED:
                            moved[k, 0] = slot
                            moved[k, 1] = side[j]
                            moved[k, 2] = price[j]
                            at[MOVED] = k + 1
                        else:
                            meta[slot, HIT] = 1
                            at[STOP] = 1
                elif what == CLEAR:
                    clear_book(sizes, meta, slot)
                    if meta[slot, ENGAGED] != 0:
                        meta[slot, HIT] = 1
                        at[STOP] = 1
                elif what == TRADE and meta[slot, ENGAGED] != 0:
                    if side[j] == 0:
                        ours = price[j] >= meta[slot, OUR_ASK]
                    else:
                        ours = price[j] <= meta[slot, OUR_BID]
                    if ours and at[PRINTS] < MOST_PRINTS:
                        k = at[PRINTS]
                        prints[k, 0] = slot
                        prints[k, 1] = side[j]
                        prints[k, 2] = price[j]
                        prints[k, 3] = size[j]
                        at[PRINTS] = k + 1
                        meta[slot, HIT] = 1
                        at[STOP] = 1
            elif slot == UNKNOWN:
                at[ROW] = j
                code = NEW_MARKET
                j -= 1
        j += 1
        if code < 0 and (j == end or ts[j] != now):
            code = OURS if at[STOP] != 0 else LIMIT
            at[STOP] = 0
    at[VENUE] = j
    if at[MOVED] != 0 and code != NEW_MARKET:
        keep_least(at, sizes, meta, least, moved)
    return code


@inlined
def spoils(
    i: int, before: int, ts: Ints, recv: Ints, kind: Ints, side: Ints, market: Ints, price: Ints,
    size: Ints, markets: int, assets: int,
) -> bool:  # fmt: skip
    """Whether no tape may have a row; without a branch, so that many are looked at in one go."""
    what = kind[i]
    spot = what == SPOT
    of_market = (what != SPOT) & (what != DARK)
    priced = (what == LEVEL) | (what == TRADE)
    return bool(
        (recv[i] < ts[i]) | (ts[i] < ts[before]) | (recv[i] < recv[before]) | (size[i] < 0)
        | (what > DARK)
        | (spot & ((market[i] >= assets) | (side[i] > 2)))
        | (of_market & ((market[i] >= markets) | (side[i] > 1)))
        | (priced & ((price[i] <= 0) | (price[i] >= NO_ASK)))
    )  # fmt: skip


@compiled
def check_rows(
    ts: Ints, recv: Ints, kind: Ints, side: Ints, market: Ints, price: Ints, size: Ints,
    markets: int, assets: int,
) -> int:  # fmt: skip
    """Return the first of these rows that no tape may have, -1 without any."""
    found = spoils(0, 0, ts, recv, kind, side, market, price, size, markets, assets)
    for i in range(1, len(ts)):
        found |= spoils(i, i - 1, ts, recv, kind, side, market, price, size, markets, assets)
    if found:
        for i in range(len(ts)):
            if spoils(i, max(i - 1, 0), ts, recv, kind, side, market, price, size, markets, assets):
                return i
    return -1


@compiled
def run_view(
    limit: int, ts: Ints, recv: Ints, kind: Ints, side: Ints, market: Ints, price: Ints,
    size: Ints, at: Ints, delays: Ints, slot_of: Ints, sizes: Ints, meta: Ints, spots: Ints,
) -> int:  # fmt: skip
    """Let the view see everything up to `limit`."""
    end = at[END]
    while at[VIEW] < end:
        now = seen_ns(recv[at[VIEW]], delays, at[SEEN])
        if now > limit:
            return LIMIT
        code = see(
            ts, recv, kind, side, market, price, size, at,
            now, slot_of, sizes, meta, spots,
        )  # fmt: skip
        if code != LIMIT:
            return code
    return LIMIT


@compiled
def run_venue(
    limit: int, ts: Ints, kind: Ints, side: Ints, market: Ints, price: Ints, size: Ints, at: Ints,
    slot_of: Ints, sizes: Ints, meta: Ints, watch: Ints, prints: Ints, least: Ints, moved: Ints,
) -> int:  # fmt: skip
    """Let everything happen up to `limit`, the view staying where it is."""
    end = at[END]
    while at[VENUE] < end and ts[at[VENUE]] <= limit:
        code = happen(
            ts, kind, side, market, price, size, at,
            slot_of, sizes, meta, watch, prints, least, moved,
        )  # fmt: skip
        if code != LIMIT:
            return code
    return LIMIT


@compiled
def run_both(
    limit: int, ts: Ints, recv: Ints, kind: Ints, side: Ints, market: Ints, price: Ints,
    size: Ints, at: Ints, delays: Ints, slot_of: Ints, sizes: Ints, meta: Ints,
    venue_sizes: Ints, venue_meta: Ints, watch: Ints, prints: Ints,
    least: Ints, moved: Ints, spots: Ints,
) -> int:  # fmt: skip
    """Let both go on in the order of time; what happens and is seen at once happens first."""
    end = at[END]
    while True:
        seen = NEVER
        if at[VIEW] < end:
            seen = seen_ns(recv[at[VIEW]], delays, at[SEEN])
        if at[VENUE] < end and ts[at[VENUE]] <= seen:
            if ts[at[VENUE]] > limit:
                return LIMIT
            code = happen(
                ts, kind, side, market, price, size, at,
                slot_of, venue_sizes, venue_meta, watch, prints, least, moved,
            )  # fmt: skip
        elif seen > limit or seen == NEVER:
            return LIMIT
        else:
            code = see(
                ts, recv, kind, side, market, price, size, at,
                seen, slot_of, sizes, meta, spots,
            )  # fmt: skip
        if code != LIMIT:
            return code


@compiled
def run_ahead(
    limit: int, scout: int, ts: Ints, recv: Ints, kind: Ints, side: Ints, market: Ints,
    price: Ints, size: Ints, at: Ints, delays: Ints, slot_of: Ints, sizes: Ints, meta: Ints,
    tops: Ints,
) -> tuple[int, int]:  # fmt: skip
    """Write the best prices after each coming moment of one market into `tops`.

    The scout has ladders of its own, so that nobody else gets ahead of time. It stops before any
    moment with more in it than levels of one known market, so that such a moment is taken by
    `run_view`; rows before the view's it takes silently. Returns the tops written and its next
    row.
    """
    end = at[END]
    view = at[VIEW]
    last = at[SEEN]
    count = 0
    i = scout
    while i < view:
        slot = IGNORED
        if kind[i] == DARK:
            for one in range(at[SLOTS]):
                clear_book(sizes, meta, one)
                meta[one, READY] = 0
        elif kind[i] != SPOT:
            slot = slot_of[market[i]]
        if slot >= 0:
            if kind[i] == LEVEL:
                set_level(sizes, meta, slot, side[i], price[i], size[i])
            elif kind[i] == CLEAR:
                clear_book(sizes, meta, slot)
                meta[slot, READY] = 1
        i += 1
    while i < end and count < tops.shape[1]:
        received = recv[i]
        now = seen_ns(received, delays, last)
        if now > limit:
            break
        j = i
        one = market[i]
        slot = slot_of[one] if kind[i] != SPOT and kind[i] != DARK else UNKNOWN
        while j < end and recv[j] == received:
            what = kind[j]
            plain = slot == IGNORED
            if slot >= 0 and meta[slot, READY] != 0:
                plain = what <= LEVEL or (what == TRADE and meta[slot, TELL] == 0)
            if not plain or market[j] != one:
                slot = UNKNOWN
                break
            j += 1
        if slot == UNKNOWN:
            break
        told = False
        while i < j:
            if slot >= 0 and kind[i] != TRADE:
                told = True
                if kind[i] == LEVEL:
                    set_level(sizes, meta, slot, side[i], price[i], size[i])
                else:
                    clear_book(sizes, meta, slot)
            i += 1
        last = now
        if told:
            tops[0, count] = now
            tops[1, count] = slot
            tops[2, count] = meta[slot, BEST_BID]
            tops[3, count] = meta[slot, BEST_ASK]
            tops[4, count] = sizes[slot, 0, meta[slot, BEST_BID]]
            tops[5, count] = sizes[slot, 1, meta[slot, BEST_ASK]]
            tops[6, count] = i
            count += 1
    return count, i
