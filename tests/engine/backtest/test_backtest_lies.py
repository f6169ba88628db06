"""The known ways in which a backtest lies, each of which this one does not."""

import pytest
from tape_kit import CASH_E6, Scripted, TapeWriter, agent, column, final_cash_e6, once, play

from models.fills import FillModel
from models.markets import Outcome, Side, taker_fee_e6
from models.orders import TimeInForce
from models.units import SHARE, USD
from strategies.base import Buy, Place, Sell

WHOLE_S = 900
RESTING_BID = Place(
    Outcome.UP, Side.BUY, price_e4=4900, size_e6=10 * SHARE, tif=TimeInForce.GTC, post_only=True
)


def plain_tape(up: bool = True, **options) -> TapeWriter:
    """A quiet market: 49/50, 100 shares each, for a whole window."""
    writer = TapeWriter(**options).spots(-1, WHOLE_S + 1)
    for second in range(0, WHOLE_S, 10):
        writer.book(second, {49: 100}, {50: 100, 51: 100})
    return writer.resolve(WHOLE_S + 2, up).spot(WHOLE_S + 20, 60_000)


def test_the_book_is_not_infinite():
    """An order takes what is displayed within its limit and no share more."""
    greedy = Scripted(on_tick=once(Buy(Outcome.UP, price_e4=5100, size_e6=80 * SHARE)))
    tape = TapeWriter().spots(-1, 30).book(0, {49: 100}, {50: 20, 51: 30, 52: 1000}).tape()
    result = play(tape, agent(greedy))
    assert sum(column(result, "fills", "size_e6")) == 50 * SHARE


def test_what_was_taken_stays_taken_while_the_recording_still_shows_it():
    twice = Scripted(on_tick=lambda view: Buy(Outcome.UP, price_e4=5000, size_e6=80 * SHARE))
    tape = TapeWriter().spots(-1, 30)
    for second in range(20):
        tape.book(second, {49: 100}, {50: 100, 51: 100})
    result = play(tape.tape(), agent(twice))
    assert sum(column(result, "fills", "size_e6")) == 100 * SHARE
    assert "rejected" in column(result, "orders", "state")


def test_shares_that_join_the_level_later_can_be_taken():
    first_only = Scripted(on_tick=lambda view: Buy(Outcome.UP, price_e4=5000, size_e6=80 * SHARE))
    tape = TapeWriter().spots(-1, 30).book(0, {49: 100}, {50: 40})
    tape.level(5, 1, 50, 70)
    result = play(tape.tape(), agent(first_only))
    assert sum(column(result, "fills", "size_e6")) == 70 * SHARE


def test_a_touch_of_our_price_fills_nothing():
    """The market trades at our price, but never through those who stood there before us."""
    tape = plain_tape()
    for second in range(10, 100, 10):
        tape.trade(second + 0.5, buys=False, cents=49, shares=5)
    resting = Scripted(on_tick=once(RESTING_BID))
    result = play(tape.tape(), agent(resting), fill_model=FillModel.BACK)
    assert column(result, "fills", "size_e6") == []
    assert column(result, "orders", "state") == ["cancelled"]


def test_an_order_fills_once_those_ahead_have_traded():
    tape = TapeWriter().spots(-1, 60).book(0, {49: 100}, {50: 100})
    tape.trade(10, False, 49, 60).level(10, 0, 49, 40)
    tape.trade(20, False, 49, 43).level(20, 0, 49, 0)
    resting = Scripted(on_tick=once(RESTING_BID))
    result = play(tape.tape(), agent(resting), fill_model=FillModel.BACK)
    assert column(result, "fills", "size_e6") == [3 * SHARE]
    assert column(result, "fills", "maker") == [True]
    assert column(result, "fills", "fee_e6") == [0]


def test_no_fill_against_the_book_of_before_the_order():
    """The ask we saw is gone when the order arrives: it meets the market of its arrival."""
    tape = TapeWriter().spots(-1, 30).book(0, {49: 100}, {50: 100}).level(3.1, 1, 50, 0)
    tape.level(3.1, 1, 55, 100)
    buys = Scripted(on_tick=once(Buy(Outcome.UP, price_e4=5000, size_e6=10 * SHARE), after_s=3))
    from engine.backtest import Travel

    late = play(tape.tape(), agent(buys), order=Travel(200_000_000))
    assert column(late, "fills", "size_e6") == []
    assert column(late, "orders", "state") == ["rejected"]
    buys = Scripted(on_tick=once(Buy(Outcome.UP, price_e4=5000, size_e6=10 * SHARE), after_s=3))
    in_time = play(tape.tape(), agent(buys), order=Travel(50_000_000))
    assert column(in_time, "fills", "size_e6") == [10 * SHARE]


@pytest.mark.parametrize("up", [True, False])
def test_a_window_pays_its_winner_to_the_unit(up):
    buys = Scripted(on_tick=once(Buy(Outcome.UP, price_e4=5000, size_e6=20 * SHARE)))
    result = play(plain_tape(up).tape(), agent(buys))
    fee = taker_fee_e6(5000, 20 * SHARE, result.markets[0].fee)
    assert fee > 0
    payout = 20 * USD if up else 0
    assert column(result, "windows", "payout_e6") == [payout]
    assert column(result, "windows", "winner") == [0 if up else 1]
    assert column(result, "windows", "pnl_e6") == [payout - 10 * USD - fee]
    assert final_cash_e6(result) == CASH_E6 + payout - 10 * USD - fee


def test_an_unsettled_position_is_valued_and_flagged_never_won():
    buys = Scripted(on_tick=once(Buy(Outcome.UP, price_e4=5000, size_e6=20 * SHARE)))
    tape = TapeWriter().spots(-1, 60).book(0, {49: 100}, {50: 100}).book(30, {30: 100}, {31: 100})
    result = play(tape.tape(), agent(buys))
    fee = taker_fee_e6(5000, 20 * SHARE, result.markets[0].fee)
    assert column(result, "windows", "winner") == [2]
    assert column(result, "windows", "payout_e6") == [0]
    assert column(result, "windows", "pnl_e6") == [6 * USD - 10 * USD - fee]
    equity = result.tables["equity"]["equity_e6"][-1]
    assert equity == CASH_E6 + 6 * USD - 10 * USD - fee


def test_fees_come_out_of_the_money_and_a_sale_brings_its_price_less_the_fee():
    def round_trip(view):
        if view.position_e6(Outcome.UP):
            return Sell(Outcome.UP, price_e4=4900, size_e6=view.position_e6(Outcome.UP))
        return Buy(Outcome.UP, price_e4=5000, size_e6=20 * SHARE) if view.elapsed_s < 5 else None

    tape = TapeWriter().spots(-1, 60)
    for second in range(0, 60, 2):
        tape.book(second, {49: 100 + second}, {50: 100})
    result = play(
        tape.resolve(61, True).spot(80, 60_000).tape(), agent(Scripted(on_tick=round_trip))
    )
    fees = [taker_fee_e6(price, 20 * SHARE, result.markets[0].fee) for price in (5000, 4900)]
    assert column(result, "fills", "fee_e6")[:2] == fees
    cash = zip(column(result, "fills", "side"), column(result, "fills", "cash_e6"), strict=True)
    flows = sum(-amount if side == 0 else amount for side, amount in cash)
    assert final_cash_e6(result) == CASH_E6 + flows - sum(column(result, "fills", "fee_e6"))


def test_a_tape_without_a_resolution_is_settled_by_its_rule():
    buys = Scripted(on_tick=once(Buy(Outcome.UP, price_e4=5000, size_e6=20 * SHARE)))
    tape = (
        TapeWriter()
        .spots(-1, 899)
        .book(0, {49: 100}, {50: 100})
        .spot(899, 59_999)
        .spot(920, 61_000)
    )
    result = play(tape.tape(), agent(buys))
    assert column(result, "windows", "winner") == [1]
    assert column(result, "windows", "payout_e6") == [0]


def test_our_own_orders_never_trade_with_one_another():
    sells_high = Scripted(
        on_tick=once(Buy(Outcome.DOWN, price_e4=4500, size_e6=10 * SHARE, tif=TimeInForce.GTC))
    )
    tape = TapeWriter().spots(-1, 60).book(0, {40: 100}, {60: 100})
    buys = Scripted(
        on_tick=once(Buy(Outcome.UP, price_e4=5600, size_e6=10 * SHARE, tif=TimeInForce.GTC), 5)
    )
    result = play(tape.tape(), agent(sells_high), agent(buys, "bert"))
    assert column(result, "fills", "size_e6") == []
