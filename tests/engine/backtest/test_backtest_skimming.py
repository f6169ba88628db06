"""Rows looked through for what our orders took of, against the same rows played one by one."""

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tape_kit import START_NS, TapeWriter

from engine.backtest import layout as on
from engine.backtest.reel import Reel
from engine.fills.latency import ConstantDelay
from models.tape import Row, Tape

STEP_S = 0.1
CENTS = (48, 49, 50, 51)
KINDS = [Row.LEVEL] * 40 + [Row.TRADE, Row.CLEAR, Row.DARK]
rows = st.lists(
    st.tuples(
        st.sampled_from((0, 1, 1)), st.sampled_from(KINDS), st.sampled_from(CENTS),
        st.sampled_from((0, 0, 0, 1, 2)),
    ),
    min_size=1,
    max_size=40,
)  # fmt: skip
stops = st.lists(st.integers(1, 40), min_size=1, max_size=4)


def tape_of(told: list[tuple[int, Row, int, int]]) -> Tape:
    tape = TapeWriter().book(0, {48: 3, 49: 3}, {50: 3, 51: 3})
    step = 1
    for later, kind, cents, shares in told:
        step += later
        side = int(cents >= 50)
        if kind in (Row.LEVEL, Row.TRADE):
            tape.add(step * STEP_S, kind, side, 0, cents * 100, shares)
        else:
            tape.add(step * STEP_S, kind)
    return tape.tape()


def reel_of(tape: Tape, far_behind: int) -> Reel:
    """A reel behind whose first moment we took of every level that may change."""
    reel = Reel(
        tape, 0, len(tape), ConstantDelay(), lambda market: True, lambda market, slot: None, False
    )
    reel.far_behind = far_behind
    while reel.run(START_NS, False) != on.LIMIT:
        pass
    reel.catch_up(START_NS, copying=False)
    reel.venue.meta[0, on.ENGAGED] = 1
    for cents in CENTS:
        reel.watch[0, int(cents >= 50), cents * 100] = on.TOOK
    reel.least[0] = reel.venue.sizes[0]
    return reel


@settings(max_examples=200, deadline=None)
@given(rows, stops)
def test_books_and_the_least_they_showed_are_those_of_every_row(told, stops):
    tape = tape_of(told)
    played, skimmed = reel_of(tape, 1_000), reel_of(tape, 0)
    for stop in np.cumsum(stops).tolist():
        now_ns = START_NS + round(stop * STEP_S * 1e9)
        for reel in (played, skimmed):
            while reel.run(now_ns, False) != on.LIMIT:
                pass
        if skimmed.lag > 0 and skimmed._skimmed():
            event("skimmed")
        for reel in (played, skimmed):
            while reel.catch_up(now_ns, copying=False) == on.OURS:
                pass
        assert skimmed.at[on.VENUE] == played.at[on.VENUE]
        assert np.array_equal(skimmed.venue.sizes, played.venue.sizes)
        assert np.array_equal(skimmed.least, played.least)
        ours, theirs = (reel.venue.meta[0, : on.READY] for reel in (skimmed, played))
        assert ours.tolist() == theirs.tolist()
