"""Rows that no tape may have: found wherever they are, before anybody is shown them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tape_kit import START_NS, Scripted, agent, make_market, play

from engine.backtest.checking import Check, winners
from engine.backtest.layout import NEVER
from models.errors import ConfigError
from models.tape import DTYPES, Row, Tape
from models.units import MILLISECOND_NS

ROWS = 40_000
EVERY_NS = 20 * MILLISECOND_NS
WRONG = {"kind": 9, "side": 2, "market": 1, "price": 10_000, "size": -1}


def long_tape(**changes: tuple[int, int]) -> Tape:
    """One level set anew all the time; `changes` are a row and what its column has there."""
    columns = {name: np.zeros(ROWS, dtype) for name, dtype in DTYPES.items()}
    columns["ts_ns"][:] = START_NS + np.arange(ROWS) * EVERY_NS
    columns["kind"][:] = Row.LEVEL
    columns["kind"][0] = Row.CLEAR
    columns["price"][:] = 4_900
    columns["size"][:] = 1 + np.arange(ROWS)
    columns["recv_ns"][:] = columns["ts_ns"]
    for name, (row, value) in changes.items():
        columns[name][row] = value
    return Tape(**columns, markets=(make_market(),), assets=("BTC",))


@given(st.integers(1, ROWS - 1), st.sampled_from(sorted(WRONG)), st.integers(0, ROWS - 1))
def test_a_row_that_cannot_be_is_found_before_its_time(row: int, name: str, asked: int) -> None:
    check = Check(long_tape(**{name: (row, WRONG[name])}), ROWS)
    at_ns = START_NS + asked * EVERY_NS
    if asked < row:
        try:
            check.until(at_ns)
        except ConfigError as error:
            assert f"row {row} " in str(error)
            return
        at_ns = NEVER
    with pytest.raises(ConfigError, match=f"row {row} "):
        check.until(max(at_ns, START_NS + row * EVERY_NS))


@pytest.mark.parametrize("row", [1, 16_383, 16_384, 16_385, 32_768, ROWS - 1])
def test_time_that_goes_back_is_found_at_the_edges_of_blocks_too(row: int) -> None:
    tape = long_tape(ts_ns=(row, START_NS - 1))
    with pytest.raises(ConfigError, match=f"row {row} "):
        Check(tape, ROWS).until(NEVER)
    Check(tape, row).until(NEVER)


def test_what_comes_after_a_row_that_cannot_be_is_never_seen() -> None:
    bad = 36_000
    seen = []
    watcher = Scripted(on_tick=lambda view: seen.append(view.now_ns))
    with pytest.raises(ConfigError, match=f"row {bad} "):
        play(long_tape(price=(bad, 0)), agent(watcher))
    assert seen
    assert max(seen) < START_NS + bad * EVERY_NS


def test_the_last_word_on_who_won_is_taken() -> None:
    tape = long_tape(kind=(ROWS - 1, Row.RESOLVED), side=(ROWS - 1, 1))
    assert winners(tape, ROWS).tolist() == [1]
    assert winners(tape, ROWS - 1).tolist() == [-1]
