"""What time, the tick, the account itself and its owner do to an order."""

import pytest
from matching_kit import (
    BUY,
    DOWN,
    FAK,
    FOK,
    GTC,
    GTD,
    NOW,
    SELL,
    UP,
    ends,
    make_exchange,
    make_market,
    make_order,
    trades,
)

from engine.matching.types import (
    CancelReason,
    CancelRefused,
    ExchangeConfig,
    OrderRefused,
    Released,
    SelfTrade,
    TickChanged,
)
from models.markets import FeeSchedule
from models.orders import OrderState, TimeInForce
from models.units import MILLISECOND_NS, SECOND_NS, SHARE, USD

FREE = make_market(fee=FeeSchedule())


# --- time -----------------------------------------------------------------------------------------


def test_gtd_order_dies_a_minute_before_its_stated_expiry() -> None:
    exchange = make_exchange()
    stated = NOW // SECOND_NS + 180
    exchange.submit(make_order("g", "ann", UP, BUY, 5_000, 10, GTD, expires_s=stated), NOW)
    assert exchange.next_due_ns() == (stated - 60) * SECOND_NS
    assert exchange.advance((stated - 60) * SECOND_NS - 1) == []
    events = exchange.advance((stated - 60) * SECOND_NS)
    assert [end.reason for end in ends(events)] == [CancelReason.EXPIRED]
    assert exchange.order("g").state is OrderState.EXPIRED
    assert exchange.balance("ann").reserved_e6 == 0


def test_expired_order_does_not_trade_with_a_later_submit() -> None:
    exchange = make_exchange(shares=10 * SHARE)
    stated = NOW // SECOND_NS + 180
    exchange.submit(make_order("g", "ann", UP, BUY, 5_000, 10, GTD, expires_s=stated), NOW)
    late = NOW + 150 * SECOND_NS
    events = exchange.submit(make_order("s", "bob", UP, SELL, 5_000, 10), late)
    assert trades(events) == []
    assert [end.order_id for end in ends(events)] == ["g"]


def test_events_that_fell_due_survive_a_refusal() -> None:
    exchange = make_exchange()
    stated = NOW // SECOND_NS + 180
    exchange.submit(make_order("g", "ann", UP, BUY, 5_000, 10, GTD, expires_s=stated), NOW)
    late = NOW + 150 * SECOND_NS
    with pytest.raises(OrderRefused):
        exchange.submit(make_order("bad", "bob", UP, BUY, 5_050, 10), late)
    assert [end.order_id for end in ends(exchange.advance(late))] == ["g"]


@pytest.mark.parametrize("delay_ms", [50, 150, 250, 500])
def test_marketable_order_waits_out_the_taker_delay(delay_ms: int) -> None:
    exchange = make_exchange(shares=10 * SHARE, delay_ms=delay_ms)
    exchange.submit(make_order("m", "bob", UP, SELL, 5_000, 10), NOW)
    events = exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 10), NOW)
    assert [event.status for event in events] == [OrderState.DELAYED]
    # Its cash and the fee are set aside, and it cannot be cancelled.
    assert exchange.balance("ann").reserved_e6 == 5 * USD + 175_000
    with pytest.raises(CancelRefused, match="delayed due to market conditions"):
        exchange.cancel("t", NOW + 1)
    assert exchange.cancel_account("ann", NOW + 1) == []
    due = NOW + delay_ms * MILLISECOND_NS
    assert exchange.advance(due - 1) == []
    events = exchange.advance(due)
    assert isinstance(events[0], Released)
    assert events[0].status is OrderState.FILLED
    assert trades(events)[0].matched_ns == due
    assert exchange.balance("ann").reserved_e6 == 0


def test_resting_order_is_not_delayed() -> None:
    exchange = make_exchange(delay_ms=150)
    placed = exchange.submit(make_order("a", "ann", UP, BUY, 5_000, 10), NOW)[0]
    assert placed.status is OrderState.LIVE


def test_book_that_moved_during_the_delay_lets_gtc_rest_and_kills_the_others() -> None:
    exchange = make_exchange(shares=100 * SHARE, delay_ms=150)
    exchange.submit(make_order("m", "bob", UP, SELL, 5_000, 10), NOW)
    for order_id, tif in (("gtc", GTC), ("fok", FOK), ("fak", FAK)):
        exchange.submit(make_order(order_id, "ann", UP, BUY, 5_000, 10, tif), NOW + 1)
    exchange.cancel("m", NOW + 2)
    events = exchange.advance(NOW + 200 * MILLISECOND_NS)
    assert {end.order_id: end.reason for end in ends(events)} == {
        "fok": CancelReason.FOK_KILLED,
        "fak": CancelReason.FAK_KILLED,
    }
    assert exchange.book("m", UP)[0] == [(5_000, 10 * SHARE)]
    assert exchange.balance("ann").reserved_e6 == 5 * USD


# --- ticks ----------------------------------------------------------------------------------------


def test_tick_tightens_beyond_96_cents_and_keeps_resting_orders() -> None:
    exchange = make_exchange(shares=100 * SHARE)
    exchange.submit(make_order("b", "ann", UP, BUY, 9_500, 10), NOW)
    events = exchange.submit(make_order("a", "bob", UP, SELL, 9_700, 10), NOW)
    assert exchange.tick_e4("m") == 100  # the mid price is 0.96, not beyond
    exchange.cancel("b", NOW)
    assert exchange.tick_e4("m") == 100  # an ask alone says nothing
    events = exchange.submit(make_order("c", "ann", UP, BUY, 9_600, 10), NOW)
    assert [event for event in events if isinstance(event, TickChanged)] == [
        TickChanged("m", 100, 10)
    ]
    assert exchange.book("m", UP) == ([(9_600, 10 * SHARE)], [(9_700, 10 * SHARE)])
    exchange.submit(make_order("d", "ann", UP, BUY, 9_650, 10), NOW)
    with pytest.raises(OrderRefused, match=r"minimum tick size rule: 0\.001$"):
        exchange.submit(make_order("e", "ann", UP, BUY, 9_655, 10), NOW)
    exchange.cancel_account("ann", NOW)
    exchange.submit(make_order("f", "ann", UP, BUY, 5_000, 10), NOW)
    assert exchange.tick_e4("m") == 10  # it never widens again


def test_tick_can_be_set_by_hand() -> None:
    exchange = make_exchange()
    assert exchange.set_tick("m", 10) == [TickChanged("m", 100, 10)]
    assert exchange.set_tick("m", 10) == []


# --- self-trade -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "traded", "cancelled", "left"),
    [
        (SelfTrade.ALLOW, ["mine", "bob's"], [], [(5_000, 5 * SHARE)]),
        (SelfTrade.CANCEL_RESTING, ["bob's"], ["mine"], []),
        (SelfTrade.CANCEL_TAKING, [], ["t"], [(5_000, 20 * SHARE)]),
    ],
)
def test_self_trade_follows_the_setting(
    mode: SelfTrade, traded: list[str], cancelled: list[str], left: list[tuple[int, int]]
) -> None:
    exchange = make_exchange(
        FREE, config=ExchangeConfig(self_trade=mode), shares=100 * SHARE, cash=1_000 * USD
    )
    exchange.submit(make_order("mine", "ann", UP, SELL, 5_000, 10), NOW)
    exchange.submit(make_order("bob's", "bob", UP, SELL, 5_000, 10), NOW)
    events = exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 15), NOW)
    assert [leg.order_id for trade in trades(events) for leg in trade.makers] == traded
    assert [end.order_id for end in ends(events)] == cancelled
    assert all(end.reason is CancelReason.SELF_TRADE for end in ends(events))
    assert exchange.book("m", UP)[1] == left


# --- cancelling -----------------------------------------------------------------------------------


def test_cancel_reasons_are_the_venues() -> None:
    exchange = make_exchange(FREE, shares=100 * SHARE)
    exchange.submit(make_order("m", "bob", UP, SELL, 5_000, 10), NOW)
    exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 10), NOW)
    exchange.submit(make_order("c", "ann", UP, BUY, 4_000, 10), NOW)
    exchange.cancel("c", NOW)
    for order_id, text in (
        ("m", "Order already matched"),
        ("t", "Order already matched"),
        ("c", "Order not found or already canceled"),
        ("unknown", "Order not found or already canceled"),
    ):
        with pytest.raises(CancelRefused) as caught:
            exchange.cancel(order_id, NOW)
        assert caught.value.text == text


def test_cancel_account_takes_its_own_orders_of_the_market_or_token() -> None:
    exchange = make_exchange(shares=100 * SHARE)
    exchange.add_market(make_market("n"))
    exchange.submit(make_order("1", "ann", UP, BUY, 4_000, 10), NOW)
    exchange.submit(make_order("2", "ann", DOWN, BUY, 4_000, 10), NOW)
    exchange.submit(make_order("3", "ann", UP, BUY, 4_000, 10, market="n"), NOW)
    exchange.submit(make_order("4", "bob", UP, BUY, 4_000, 10), NOW)
    gone = ends(exchange.cancel_account("ann", NOW, "m", token_id="m-down"))
    assert [end.order_id for end in gone] == ["2"]
    assert [end.order_id for end in ends(exchange.cancel_account("ann", NOW, "n"))] == ["3"]
    assert [end.order_id for end in ends(exchange.cancel_account("ann", NOW))] == ["1"]
    assert [status.order.order_id for status in exchange.open_orders("bob")] == ["4"]


@pytest.mark.parametrize("tif", list(TimeInForce))
def test_order_status_tells_how_far_it_has_come(tif: TimeInForce) -> None:
    exchange = make_exchange(shares=100 * SHARE)
    exchange.submit(make_order("m", "bob", UP, SELL, 5_000, 20), NOW)
    expires = NOW // SECOND_NS + 600 if tif is GTD else 0
    exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 10, tif, expires_s=expires), NOW)
    status = exchange.order("t")
    assert (status.state, status.filled_e6, status.cash_e6, status.fee_e6, status.open_e6) == (
        OrderState.FILLED, 10 * SHARE, 5 * USD, 175_000, 0,
    )  # fmt: skip
    maker = exchange.order("m")
    assert (maker.state, maker.filled_e6, maker.open_e6) == (
        OrderState.PARTIAL, 10 * SHARE, 10 * SHARE,
    )  # fmt: skip
    assert exchange.order("none") is None
