"""A strategy sees nothing that it could not have seen, however hard it looks."""

import types
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tape_kit import START_NS, Scripted, TapeWriter, agent, column, play

from engine.backtest import Travel
from models.markets import Outcome
from models.tape import DTYPES, Row, Tape
from models.units import MILLISECOND_NS, SECOND_NS, SHARE
from strategies.base import Buy

SECRET = 7_777 * SHARE
"""A size that only a later row of the tape tells."""


def reachable(start: object, most: int = 200_000) -> Iterator[object]:
    """Everything that attributes, slots, items, closures and bound methods lead to.

    Not through classes, modules, frames or the garbage collector: those lead anywhere in the
    process, in any language of this kind.
    """
    seen: set[int] = set()
    todo = [start]
    while todo and len(seen) < most:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type | types.ModuleType | str | bytes | int | float):
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, dict):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset) or type(one).__name__ == "deque":
            todo += list(one)
        elif isinstance(one, np.ndarray):
            todo.append(one.base)
        elif isinstance(one, types.MethodType):
            todo += [one.__self__, one.__func__]
        elif isinstance(one, types.FunctionType):
            todo += [cell.cell_contents for cell in one.__closure__ or () if _full(cell)]
            todo += list(one.__defaults__ or ())
        elif type(one).__name__ == "partial":
            todo += [one.func, *one.args, *one.keywords.values()]  # type: ignore[attr-defined]
        todo += list(getattr(one, "__dict__", {}).values())
        for kind in type(one).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            for name in [slots] if isinstance(slots, str) else slots:
                known = f"_{kind.__name__.lstrip('_')}{name}" if name[:2] == "__" else name
                if hasattr(one, known):
                    todo.append(getattr(one, known))


def _full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def later_rows() -> Tape:
    tape = TapeWriter().spots(-1, 60).book(0, {48: 100}, {52: 100})
    for second in range(1, 60):
        tape.level(second, 0, 48, 100 + second)
    tape.add(50, Row.LEVEL, 0, 0, 4700, SECRET)
    return tape.tape()


HIDDEN = [later_rows()]
"""Held here, where the search does not go: the strategy that searches must not bring it along."""


def test_nothing_that_a_view_leads_to_holds_a_later_row():
    found: list[str] = []
    looked: list[int] = []

    def search(view):
        if not 5 < view.elapsed_s < 40:
            return
        count = 0
        for one in reachable(view):
            count += 1
            if isinstance(one, Tape):
                found.append("the tape")
            if isinstance(one, np.ndarray) and one.dtype.kind in "iu":
                if any(np.shares_memory(one, getattr(HIDDEN[0], name)) for name in DTYPES):
                    found.append("a column")
                if (one == SECRET).any():
                    found.append("an array")
        looked.append(count)

    for cadence_ms in (0, 1000):
        result = play(HIDDEN[0], agent(Scripted(cadence_ms, on_tick=search)))
        assert result.failures == {}
    assert len(looked) >= 50
    assert min(looked) > 50, "the search itself finds the ladder, the books, the order manager"
    assert found == []


def test_the_search_would_find_a_tape():
    """The cheat works where there is something to find."""
    tape = later_rows()

    class Leaky:
        __slots__ = ("_reader",)

        def __init__(self) -> None:
            self._reader = lambda: tape

    assert any(isinstance(one, Tape) for one in reachable(Leaky()))


def test_depth_at_every_event_shows_that_event_and_no_later_one():
    """Where only best prices are handed out one by one, a look at the depth is as of now."""
    seen: list[tuple[float, int]] = []

    def look(view):
        seen.append((view.elapsed_s, view.up.bids(5)[0][1] // SHARE))

    play(later_rows(), agent(Scripted(0, on_tick=look)))
    by_time = dict(seen)
    assert len(by_time) > 50
    assert all(by_time[float(second)] == 100 + second for second in range(1, 50))


def test_the_strike_is_unknown_until_the_feed_shows_the_start():
    tape = TapeWriter().spots(-5, -1).spot(1.5, 61_000).spots(2, 30, 62_000)
    tape.book(0, {48: 100}, {52: 100})
    strikes: list[tuple[float, float | None]] = []
    watch = Scripted(on_timer=lambda view: strikes.append((view.elapsed_s, view.strike)))
    play(tape.tape(), agent(watch))
    known = dict(strikes)
    assert known[1.0] is None
    assert known[2.0] == 60_000.0


def test_a_strike_written_in_the_recording_is_told_when_the_venue_would():
    from tape_kit import make_market

    market = make_market(strike_e8=123 * 10**8)
    tape = TapeWriter(market).spots(2, 30).book(0, {48: 100}, {52: 100})
    strikes: dict[float, float | None] = {}
    watch = Scripted(on_timer=lambda view: strikes.update({view.elapsed_s: view.strike}))
    play(tape.tape(), agent(watch), strike_after_s=5.0)
    assert strikes[4.0] is None
    assert strikes[6.0] == 123.0


def test_rows_are_seen_no_earlier_than_they_were_received_and_travelled():
    tape = TapeWriter(lag_s=0.25).spots(-1, 20)
    for second in range(20):
        tape.book(second, {40 + second % 5: 100}, {52: 100})
    seen: dict[int, float] = {}

    def look(view):
        bid = view.up.bid_e4
        if bid is not None:
            seen.setdefault(int(view.elapsed_s), (view.elapsed_s, bid))

    play(tape.tape(), agent(Scripted(0, on_tick=look)), feed=Travel(100 * MILLISECOND_NS))
    for second, (at, bid) in seen.items():
        assert at >= second + 0.35
        assert bid == (40 + second % 5) * 100


def decisions(tape: Tape, until_ns: int) -> list[tuple]:
    """What a strategy that looks at everything decides before a time."""

    def decide(view):
        bid, ask = view.up.bid_e4, view.up.ask_e4
        if bid is None or ask is None or not view.fresh:
            return None
        lean = sum(size for _, size in view.up.bids(3)) - sum(s for _, s in view.up.asks(3))
        if abs(lean) > 40 * SHARE:
            return Buy(Outcome.UP if lean > 0 else Outcome.DOWN, size_e6=5 * SHARE)
        return None

    busy = Scripted(0, on_tick=decide)
    result = play(tape, agent(busy), order=Travel(30 * MILLISECOND_NS))
    calls = [(hook, at) for hook, at, _ in busy.calls if at < until_ns]
    table = result.tables["decisions"]
    rows = zip(table["time_ns"].tolist(), table["kind"].tolist(), table["detail"], strict=True)
    return calls + [row for row in rows if row[0] < until_ns]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(5, 50))
def test_a_shuffled_future_changes_no_decision_before_it(seed, cut):
    tape = random_tape(np.random.default_rng(1))
    cut_ns = START_NS + cut * SECOND_NS
    at = int(np.searchsorted(tape.ts_ns, cut_ns))
    order = np.random.default_rng(seed).permutation(np.arange(at, len(tape)))
    other = {name: getattr(tape, name).copy() for name in DTYPES}
    for name in ("kind", "side", "market", "price", "size"):
        other[name][at:] = getattr(tape, name)[order]
    changed = Tape(**other, markets=tape.markets, assets=tape.assets)
    assert decisions(tape, cut_ns) == decisions(changed, cut_ns)


def random_tape(rng: np.random.Generator) -> Tape:
    tape = TapeWriter().spots(-1, 60).book(0, {48: 50, 47: 50}, {52: 50, 53: 50})
    for at in np.sort(rng.uniform(0.1, 60, 300)):
        side = int(rng.integers(2))
        cents = int(rng.integers(44, 50)) if side == 0 else int(rng.integers(51, 56))
        tape.level(float(at), side, cents, int(rng.integers(0, 60)))
    return tape.tape()


def test_decisions_do_differ_where_the_past_differs():
    """The comparison above can fail."""
    tape = random_tape(np.random.default_rng(1))
    other = random_tape(np.random.default_rng(2))
    until = START_NS + 50 * SECOND_NS
    assert decisions(tape, until) != decisions(other, until)
    assert column(play(tape, agent(Scripted())), "decisions", "kind") is not None
