"""The venue's hold on marketable orders: as long as it was at the tape's date, for takers only."""

from datetime import UTC, datetime

import pytest
from tape_kit import START_NS, Scripted, TapeWriter, agent, column, make_market, once, play

from models.history import taker_delay_ms
from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import MILLISECOND_NS, SECOND_NS, SHARE
from strategies.base import Place

BUY = Place(Outcome.UP, Side.BUY, price_e4=5500, size_e6=10 * SHARE, tif=TimeInForce.GTC)
HOLD_NS = 150 * MILLISECOND_NS


def fills_of(tape: TapeWriter, intent, **changes):
    """Play with one wish at the fifth second; return times since then and what was paid."""
    taker = Scripted(on_timer=once(intent, after_s=5))
    result = play(tape.tape(), agent(taker), **changes)
    asked_ns = START_NS + 5 * SECOND_NS
    times = [at - asked_ns for at in column(result, "fills", "time_ns")]
    return times, column(result, "fills", "cash_e6"), result


def quiet() -> TapeWriter:
    return TapeWriter().spots(-1, 30).book(0, {49: 100}, {50: 100})


def test_the_tapes_date_has_the_delay_of_its_time():
    assert taker_delay_ms(START_NS) == 150


def test_a_taker_is_held_and_meets_the_book_of_the_moment_it_is_let_go():
    tape = quiet().book(5.1, {49: 100}, {53: 100})
    held, paid, _ = fills_of(tape, BUY, taker_delay=True)
    assert held == [HOLD_NS]
    assert paid == [5_300_000], "the price went up while it waited"
    at_once, cheaper, _ = fills_of(quiet().book(5.1, {49: 100}, {53: 100}), BUY)
    assert at_once == [0]
    assert cheaper == [5_000_000]


def test_a_book_that_goes_away_meanwhile_leaves_nothing_to_take():
    tape = quiet().book(5.1, {49: 100}, {60: 100})
    wish = Place(Outcome.UP, Side.BUY, price_e4=5500, size_e6=10 * SHARE, tif=TimeInForce.FAK)
    held, _, result = fills_of(tape, wish, taker_delay=True)
    assert held == []
    (state,) = column(result, "orders", "state")
    assert state == "rejected"


@pytest.mark.parametrize(
    "wish",
    [
        Place(Outcome.UP, Side.BUY, 4900, 10 * SHARE, tif=TimeInForce.GTC, post_only=True),
        Place(Outcome.UP, Side.BUY, 4900, 10 * SHARE, tif=TimeInForce.GTC),
    ],
)
def test_what_does_not_take_is_not_held(wish):
    """It rests at once, and is there for a seller who comes before a taker would be let go."""
    tape = TapeWriter().spots(-1, 30).book(0, {48: 100}, {50: 100}).trade(5.1, False, 49, 4)
    held, _, _ = fills_of(tape, wish, taker_delay=True)
    assert held[:1] == [100 * MILLISECOND_NS]


def test_a_tape_of_another_date_holds_as_long_as_the_venue_did_then():
    at = datetime(2026, 8, 20, tzinfo=UTC)
    assert taker_delay_ms(int(at.timestamp()) * SECOND_NS) == 50
    start_ns = int(at.timestamp()) * SECOND_NS
    market = make_market(start_ns=start_ns, end_ns=start_ns + 900 * SECOND_NS)
    offset_s = (start_ns - START_NS) / SECOND_NS
    tape = TapeWriter(market).spots(offset_s - 1, offset_s + 30)
    tape.book(offset_s, {49: 100}, {50: 100})
    taker = Scripted(on_timer=once(BUY, after_s=offset_s + 5))
    result = play(tape.tape(), agent(taker), taker_delay=True)
    (filled_ns,) = column(result, "fills", "time_ns")
    assert filled_ns - start_ns - 5 * SECOND_NS == 50 * MILLISECOND_NS
