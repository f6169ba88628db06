"""The liquidity provider's targets and recorded takers."""

from hypothesis import given, settings
from hypothesis import strategies as st
from matching_kit import (
    BUY,
    DOWN,
    NOW,
    SELL,
    UP,
    levels,
    make_exchange,
    make_market,
    make_order,
    trades,
)

from engine.matching.audit import imbalances
from engine.matching.types import MatchKind, Role
from models.markets import FeeSchedule
from models.units import SHARE, USD

FREE = make_market(fee=FeeSchedule())
BIDS = st.dictionaries(st.integers(1, 49), st.integers(0, 9 * SHARE), max_size=6)
ASKS = st.dictionaries(st.integers(50, 99), st.integers(0, 9 * SHARE), max_size=6)


def cents(book: dict[int, int]) -> list[tuple[int, int]]:
    return [(price * 100, size) for price, size in book.items()]


@settings(deadline=None)
@given(steps=st.lists(st.tuples(BIDS, ASKS), min_size=1, max_size=6))
def test_book_equals_the_last_target_and_only_differences_are_told(
    steps: list[tuple[dict[int, int], dict[int, int]]],
) -> None:
    exchange = make_exchange()
    before: dict[tuple[object, int], int] = {}
    for bids, asks in steps:
        events = exchange.impose("m", "lp", cents(bids), cents(asks), NOW)
        target = {(BUY, price): size for price, size in cents(bids) if size}
        target |= {(SELL, price): size for price, size in cents(asks) if size}
        told = {(side, price): size for side, price, size in levels(events)}
        changed = {key for key in before | target if before.get(key, 0) != target.get(key, 0)}
        assert set(told) == changed
        assert all(size == target.get(key, 0) for key, size in told.items())
        assert exchange.book("m", UP) == (
            sorted(((p, s) for p, s in cents(bids) if s), reverse=True),
            sorted((p, s) for p, s in cents(asks) if s),
        )
        assert imbalances(exchange) == []
        before = target


def test_same_target_again_changes_nothing() -> None:
    exchange = make_exchange()
    exchange.impose("m", "lp", [(4_000, 5)], [(6_000, 5)], NOW)
    before = exchange.snapshot()
    assert exchange.impose("m", "lp", [(4_000, 5)], [(6_000, 5)], NOW) == []
    assert exchange.snapshot() == before


def test_smaller_target_keeps_the_place_and_larger_one_queues_behind() -> None:
    exchange = make_exchange(FREE, shares=100 * SHARE)
    exchange.impose("m", "lp", [], [(5_000, 10 * SHARE)], NOW)
    exchange.submit(make_order("c", "bob", UP, SELL, 5_000, 10), NOW)
    exchange.impose("m", "lp", [], [(5_000, 4 * SHARE)], NOW)
    exchange.impose("m", "lp", [], [(5_000, 9 * SHARE)], NOW)
    (trade,) = trades(exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 16), NOW))
    assert [(leg.account, leg.size_e6 // SHARE) for leg in trade.makers] == [
        ("lp", 4), ("bob", 10), ("lp", 2),
    ]  # fmt: skip


def test_target_that_crosses_a_client_trades_at_the_clients_price() -> None:
    exchange = make_exchange(FREE)
    exchange.submit(make_order("d", "ann", DOWN, BUY, 4_500, 10), NOW)
    events = exchange.impose("m", "lp", [(5_600, 30 * SHARE)], [(5_700, 5 * SHARE)], NOW)
    (trade,) = trades(events)
    assert trade.taker.account == "lp"
    assert trade.taker.role is Role.TAKER
    assert (trade.price_e4, trade.size_e6) == (5_500, 10 * SHARE)
    assert trade.makers[0].order_id == "d"
    assert exchange.book("m", UP) == ([(5_600, 20 * SHARE)], [(5_700, 5 * SHARE)])
    assert exchange.balance("ann").cash_e6 == 1_000 * USD - 4_500_000


def test_taker_of_an_imposed_crossing_stands_across_the_maker() -> None:
    exchange = make_exchange(FREE)
    exchange.submit(make_order("b", "ann", UP, BUY, 5_500, 10), NOW)
    (sold,) = trades(exchange.impose("m", "lp", [], [(5_400, 10 * SHARE)], NOW))
    assert (sold.taker.outcome, sold.taker.side, sold.makers[0].side) == (UP, SELL, BUY)
    exchange.submit(make_order("d", "ann", DOWN, BUY, 4_500, 10), NOW)
    (bought,) = trades(exchange.impose("m", "lp", [(5_600, 10 * SHARE)], [], NOW))
    assert (bought.taker.outcome, bought.taker.side, bought.kind) == (UP, BUY, MatchKind.MINT)


def test_clients_order_at_a_target_level_stays_beside_it() -> None:
    exchange = make_exchange()
    exchange.submit(make_order("c", "ann", UP, BUY, 4_000, 10), NOW)
    exchange.impose("m", "lp", [(4_000, 7 * SHARE)], [], NOW)
    assert exchange.book("m", UP)[0] == [(4_000, 17 * SHARE)]
    exchange.impose("m", "lp", [], [], NOW)
    assert exchange.book("m", UP)[0] == [(4_000, 10 * SHARE)]


def test_recorded_taker_takes_what_is_there_and_leaves_nothing() -> None:
    exchange = make_exchange(FREE, delay_ms=150)
    exchange.open_account("public", unlimited=True)
    exchange.impose("m", "lp", [(4_000, 5 * SHARE), (3_900, 5 * SHARE)], [], NOW)
    exchange.submit(make_order("c", "ann", UP, BUY, 4_000, 10), NOW)
    events = exchange.take("m", "public", "m-down", BUY, 6_000, 17 * SHARE, NOW)
    (trade,) = trades(events)
    assert (trade.taker.account, trade.taker.outcome, trade.size_e6) == ("public", DOWN, 15 * SHARE)
    assert [leg.account for leg in trade.makers] == ["lp", "ann"]
    assert exchange.book("m", UP) == ([(3_900, 5 * SHARE)], [])
    assert exchange.take("m", "public", "m-down", BUY, 6_000, SHARE, NOW) == []


def test_nameless_orders_of_different_markets_have_different_names() -> None:
    exchange = make_exchange(FREE)
    exchange.add_market(make_market("n"))
    names = set()
    for market in ("m", "n"):
        exchange.impose(market, "lp", [], [(5_000, 10 * SHARE)], NOW)
        order = make_order(f"t{market}", "ann", UP, BUY, 5_000, 10, market=market)
        names |= {leg.order_id for t in trades(exchange.submit(order, NOW)) for leg in t.makers}
    assert len(names) == 2


def test_resolved_market_takes_no_more_targets() -> None:
    exchange = make_exchange()
    exchange.resolve("m", UP, NOW)
    assert exchange.impose("m", "lp", [(4_000, SHARE)], [], NOW) == []
    assert exchange.take("m", "lp", "m-up", BUY, 5_000, SHARE, NOW) == []
    assert exchange.book("m", UP) == ([], [])


def test_book_of_a_thousand_levels_and_orders_grows_the_arrays() -> None:
    exchange = make_exchange(make_market(tick_e4=1), cash=100_000 * USD)
    bids = [(price, SHARE) for price in range(1, 3_001)]
    exchange.impose("m", "lp", bids, [], NOW)
    for number in range(600):
        exchange.submit(make_order(f"o{number}", "ann", UP, BUY, 3_001 + number, 10), NOW)
        exchange.open_account(f"guest {number}", USD)
    assert len(exchange.book("m", UP)[0]) == 3_600
    events = exchange.take("m", "lp", "m-down", BUY, 9_999, 10_000 * SHARE, NOW)
    assert sum(trade.size_e6 for trade in trades(events)) == 9_000 * SHARE
    assert len(trades(events)) == 3_600
    assert exchange.book("m", UP) == ([], [])
    assert imbalances(exchange) == []
