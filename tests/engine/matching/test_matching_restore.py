"""Open orders of an earlier life come back to where they stood, delayed ones to their delay."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
from msgspec import structs

from engine.matching import Exchange
from engine.matching.audit import imbalances
from engine.matching.types import (
    Balance,
    CancelReason,
    CancelRefused,
    CoreOrder,
    CoreTrade,
    OrderRefused,
    OrderStatus,
    Released,
)
from models.errors import BadValue
from models.markets import FeeSchedule, Outcome
from models.orders import OrderState, TimeInForce
from models.units import MILLISECOND_NS, SECOND_NS, SHARE, USD

DELAY_NS = 150 * MILLISECOND_NS
MARKET = make_market(fee=FeeSchedule(70_000))
ACCOUNTS = ("ann", "bob", "cyd")


def next_life(old: Exchange, statuses: list[OrderStatus], due: dict[str, int]) -> Exchange:
    """An exchange built from what a venue keeps on disk: balances, and open orders in sequence."""
    new = Exchange(old.config)
    new.add_market(MARKET, taker_delay_ms=150)
    for account in ACCOUNTS:
        new.open_account(account, old.balance(account).cash_e6)
        for token in (MARKET.up_token, MARKET.down_token):
            if size := old.shares(account, token)[0]:
                new.deposit_shares(account, token, size)
    for status in statuses:
        events = new.restore_order(
            status.order, status.filled_e6, status.cash_e6, NOW, fee_e6=status.fee_e6,
            due_ns=due.get(status.order.order_id),
        )  # fmt: skip
        assert trades(events) == []
    return new


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(ACCOUNTS),
            st.sampled_from(tuple(Outcome)),
            st.integers(46, 54),
            st.integers(500, 1_500),
            st.sampled_from((GTC, GTC, GTC, FAK, FOK)),
        ),
        min_size=1,
        max_size=25,
    ),
    st.integers(0, 24),
)
def test_a_second_life_has_the_same_books_and_goes_on_alike(
    flow: list[tuple[str, Outcome, int, int, TimeInForce]], delayed: int
) -> None:
    """All orders buy, so that mints make the trades and nobody runs out of shares."""
    old = make_exchange(MARKET, delay_ms=150, cash=10_000 * USD)
    due: dict[str, int] = {}
    order_ids = []
    for number, (account, outcome, cents, size, tif) in enumerate(flow):
        cash = cents * size // 100 * 10_000 + USD if tif.immediate else None
        order = make_order(
            f"o{number}", account, outcome, BUY, cents * 100, size / 100, tif, cash_e6=cash
        )
        # A millisecond apart once the first is delayed, so that all of those are still waiting.
        now = NOW + min(number, delayed) * SECOND_NS
        now += max(0, number - delayed) * MILLISECOND_NS
        try:
            placed = old.submit(order, now)[0]
        except OrderRefused as refused:
            assert refused.code == "unmatched"
            continue
        order_ids.append(order.order_id)
        if placed.status is OrderState.DELAYED:
            due[order.order_id] = now + DELAY_NS
        if number < delayed:
            old.advance(now + DELAY_NS)
    known = [old.order(order_id) for order_id in order_ids]
    waiting = [s.order.order_id for s in known if s and s.state is OrderState.DELAYED]
    statuses = [s for s in known if s is not None and not s.state.terminal]
    new = next_life(old, statuses, {name: due[name] for name in waiting})
    assert imbalances(new) == []
    assert new.book("m", UP) == old.book("m", UP)
    end = NOW + 100 * SECOND_NS
    assert trades(new.advance(end)) == [
        _renumbered(trade, n) for n, trade in enumerate(trades(old.advance(end)), 1)
    ]
    for status in statuses:
        assert new.order(status.order.order_id) == old.order(status.order.order_id)
    for account in ACCOUNTS:
        assert new.balance(account) == old.balance(account)
        assert [s.order.order_id for s in new.open_orders(account)] == [
            s.order.order_id for s in old.open_orders(account)
        ]
    assert imbalances(new) == []


def _renumbered(trade: CoreTrade, number: int) -> CoreTrade:
    return structs.replace(trade, number=number)


def waiting_order(tif: TimeInForce = FAK) -> CoreOrder:
    return make_order("w", "ann", UP, BUY, 5_000, 10, tif, cash_e6=5 * USD)


def test_a_delayed_order_comes_back_uncancellable_with_its_money_set_aside() -> None:
    exchange = make_exchange(shares=100 * SHARE, delay_ms=150)
    exchange.restore_order(waiting_order(), 0, 0, NOW, due_ns=NOW + DELAY_NS)
    assert exchange.order("w").state is OrderState.DELAYED
    assert exchange.balance("ann").reserved_e6 == 5 * USD + 175_000
    assert imbalances(exchange) == []
    with pytest.raises(CancelRefused, match="delayed due to market conditions"):
        exchange.cancel("w", NOW + 1)
    exchange.impose("m", "lp", [], [(4_000, 100 * SHARE)], NOW + 2)
    events = exchange.advance(NOW + DELAY_NS)
    assert isinstance(events[0], Released)
    assert trades(events)[0].taker.size_e6 == 12_500_000
    assert exchange.balance("ann").reserved_e6 == 0


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_delayed_sale_comes_back_with_its_shares_set_aside(outcome: Outcome) -> None:
    exchange = make_exchange(MARKET, shares=10 * SHARE, delay_ms=150)
    token = MARKET.token(outcome)
    order = make_order("s", "ann", outcome, SELL, 4_000, 10, FAK)
    exchange.restore_order(order, 0, 0, NOW, due_ns=NOW + DELAY_NS)
    assert exchange.shares("ann", token) == (10 * SHARE, 10 * SHARE)
    assert exchange.balance("ann").reserved_e6 == 0
    exchange.submit(make_order("m", "bob", outcome, BUY, 5_000, 10), NOW + 1)
    (trade,) = trades(exchange.advance(NOW + DELAY_NS))
    assert (trade.taker.order_id, trade.taker.cash_e6) == ("s", 5 * USD)
    assert exchange.shares("ann", token) == (0, 0)
    assert imbalances(exchange) == []


def test_a_delayed_order_that_finds_nothing_in_its_second_life_ends_with_its_reason() -> None:
    exchange = make_exchange(delay_ms=150)
    exchange.restore_order(waiting_order(FOK), 0, 0, NOW, due_ns=NOW + 1)
    assert [end.reason for end in ends(exchange.advance(NOW + 1))] == [CancelReason.FOK_KILLED]
    assert exchange.balance("ann").reserved_e6 == 0


def test_delayed_orders_without_the_cash_for_a_fee_still_come_back() -> None:
    """What was enough at a better price need not cover the fee at the limit."""
    exchange = make_exchange(delay_ms=150, cash=5 * USD)
    exchange.restore_order(waiting_order(), 0, 0, NOW, due_ns=NOW + 1)
    assert exchange.balance("ann") == Balance(5 * USD, 5 * USD)


def test_a_restored_gtd_order_still_dies_a_minute_early() -> None:
    exchange = make_exchange()
    stated = NOW // SECOND_NS + 100  # less than a new one may ask for
    order = make_order("g", "ann", UP, BUY, 5_000, 10, GTD, expires_s=stated)
    exchange.restore_order(order, 4 * SHARE, 2 * USD, NOW)
    assert exchange.order("g").state is OrderState.PARTIAL
    assert exchange.book("m", UP)[0] == [(5_000, 6 * SHARE)]
    (end,) = ends(exchange.advance((stated - 60) * SECOND_NS))
    assert (end.reason, end.remaining_e6) == (CancelReason.EXPIRED, 6 * SHARE)


def test_less_than_the_minimum_may_be_left_and_the_tick_may_have_grown() -> None:
    exchange = make_exchange()
    order = make_order("a", "ann", UP, BUY, 5_050, 10)
    exchange.restore_order(order, 9 * SHARE, 4_545_000, NOW)
    assert exchange.book("m", UP)[0] == [(5_050, SHARE)]
    assert exchange.order("a").cash_e6 == 4_545_000


IMPOSSIBLE: list[Callable[[Exchange], object]] = [
    lambda x: x.restore_order(make_order("a", "ann", UP, BUY, 5_000, 10), 10 * SHARE, 0, NOW),
    lambda x: x.restore_order(make_order("a", "ann", UP, BUY, 5_000, 10), -1, 0, NOW),
    lambda x: x.restore_order(make_order("a", "nobody", UP, BUY, 5_000, 10), 0, 0, NOW),
    lambda x: x.restore_order(make_order("a", "ann", UP, BUY, 5_000, 3_000), 0, 0, NOW),
    lambda x: x.restore_order(make_order("a", "ann", UP, SELL, 5_000, 10), 0, 0, NOW),
    lambda x: x.restore_order(make_order("a", "ann", UP, SELL, 5_000, 10), 0, 0, NOW, due_ns=NOW),
    lambda x: x.restore_order(make_order("a", "ann", UP, BUY, 5_000, 3_000), 0, 0, NOW, due_ns=1),
    lambda x: x.restore_order(make_order("a", "ann", UP, BUY, 5_000, 10, FAK), 0, 0, NOW),
    lambda x: x.restore_order(make_order("here", "ann", UP, BUY, 5_000, 10), 0, 0, NOW),
    lambda x: x.restore_order(make_order("a", "ann", UP, BUY, 5_000, 10, market="n"), 0, 0, NOW),
]


@pytest.mark.parametrize("wrong", IMPOSSIBLE)
def test_what_cannot_be_open_is_refused_and_changes_nothing(
    wrong: Callable[[Exchange], object],
) -> None:
    exchange = make_exchange(delay_ms=150)
    exchange.submit(make_order("here", "bob", DOWN, BUY, 4_000, 10), NOW)
    before = exchange.snapshot()
    with pytest.raises(BadValue):
        wrong(exchange)
    assert exchange.snapshot() == before
    assert imbalances(exchange) == []


def test_nothing_comes_back_to_a_resolved_market() -> None:
    exchange = make_exchange()
    exchange.resolve("m", UP, NOW)
    with pytest.raises(BadValue, match="can't be open"):
        exchange.restore_order(make_order("a", "ann", UP, BUY, 5_000, 10), 0, 0, NOW)
