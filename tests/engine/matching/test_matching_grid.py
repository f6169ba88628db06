"""Ticks: their price grids, the decimals of amounts they allow, and when one tightens."""

import pytest
from matching_kit import (
    BUY,
    FAK,
    NOW,
    SELL,
    UP,
    ends,
    make_exchange,
    make_market,
    make_order,
    trades,
)

from engine.matching import Exchange
from engine.matching.types import CoreEvent, ExchangeConfig, OrderRefused, TickChanged
from models.markets import FeeSchedule, Side
from models.orders import OrderState
from models.units import PRICE_ONE, SHARE, USD

# The documentation's table: tick (e4), decimals of price, size and amount.
TICKS = [
    (1_000, 1, 2, 3),
    (100, 2, 2, 4),
    (50, 3, 2, 5),
    (25, 4, 2, 6),
    (10, 3, 2, 5),
    (1, 4, 2, 6),
]
CASH_PLACES = [(tick, places) for tick, _, _, places in TICKS]


def exchange_of(tick: int, **changes: bool) -> Exchange:
    market = make_market(tick_e4=tick, fee=FeeSchedule())
    return make_exchange(market, config=ExchangeConfig(**changes), shares=1_000 * SHARE)


def text_of(exchange: Exchange, *args: object, **options: object) -> str:
    with pytest.raises(OrderRefused) as caught:
        exchange.submit(make_order("a", "ann", UP, *args, **options), NOW)  # type: ignore[arg-type]
    return caught.value.text


# --- grids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tick", [tick for tick, *_ in TICKS])
def test_first_and_last_price_of_every_grid_are_taken_and_no_other_beyond(tick: int) -> None:
    exchange = exchange_of(tick, tighten=False)
    for number, price in enumerate((tick, 2 * tick, PRICE_ONE - 2 * tick, PRICE_ONE - tick)):
        order = make_order(f"s{number}", "ann", UP, SELL, price, 10)
        assert exchange.submit(order, NOW)[0].status is OrderState.LIVE
    assert [price for price, _ in exchange.book("m", UP)[1]] == [
        tick, 2 * tick, PRICE_ONE - 2 * tick, PRICE_ONE - tick,
    ]  # fmt: skip
    for price in (0, PRICE_ONE, *((tick // 2, tick + tick // 2) if tick > 1 else ())):
        assert "breaks minimum tick size rule" in text_of(
            exchange, SELL, price, 10, cash_e6=5 * USD
        )


# --- decimals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tick", "places"), CASH_PLACES)
@pytest.mark.parametrize("side", list(Side))
def test_a_limit_orders_cash_has_the_ticks_decimals_and_its_size_two(
    tick: int, places: int, side: Side
) -> None:
    exchange = exchange_of(tick)
    last = 10 ** (6 - places)
    fits = make_order("fits", "ann", UP, side, 5_000, 10.01, cash_e6=5 * USD + last)
    assert exchange.submit(fits, NOW)[0].status is OrderState.LIVE
    maker, taker = (places, 2) if side is BUY else (2, places)
    refusal = (
        f"invalid amounts, the {side.lower()} orders maker amount supports a max accuracy of "
        f"{maker} decimals, taker amount a max of {taker} decimals"
    )
    assert text_of(exchange, side, 5_000, 10.001, cash_e6=5 * USD) == refusal
    if last > 1:
        assert text_of(exchange, side, 5_000, 10, cash_e6=5 * USD + last // 10) == refusal


@pytest.mark.parametrize("tick", [tick for tick, *_ in TICKS])
@pytest.mark.parametrize("side", list(Side))
def test_marketable_amounts_have_two_and_four_decimals_whatever_the_tick(
    tick: int, side: Side
) -> None:
    exchange = exchange_of(tick)
    other = SELL if side is BUY else BUY
    exchange.submit(make_order("m", "bob", UP, other, 5_000, 100), NOW)
    shares = {BUY: (10.0201, 10.02011), SELL: (10.02, 10.021)}[side]
    cash = {BUY: (5_010_000, 5_011_000), SELL: (5_010_100, 5_010_110)}[side]
    for size, paid in ((shares[1], cash[0]), (shares[0], cash[1])):
        assert "maker amount supports a max accuracy of 2 decimals, taker amount a max of 4" in (
            text_of(exchange, side, 5_000, size, FAK, cash_e6=paid)
        )
    taken = make_order("t", "ann", UP, side, 5_000, shares[0], FAK, cash_e6=cash[0])
    assert len(trades(exchange.submit(taken, NOW))) == 1


def test_the_check_of_decimals_is_a_setting() -> None:
    exchange = exchange_of(100, check_amounts=False)
    order = make_order("a", "ann", UP, BUY, 5_000, 10.000001, cash_e6=5 * USD + 1)
    assert exchange.submit(order, NOW)[0].status is OrderState.LIVE


# --- tightening -----------------------------------------------------------------------------------


def changes(events: list[CoreEvent]) -> list[tuple[int, int]]:
    return [(e.old_tick_e4, e.new_tick_e4) for e in events if isinstance(e, TickChanged)]


def quoted(bid: int | None, ask: int | None, tick: int = 100, **rules: bool) -> Exchange:
    exchange = exchange_of(tick, **rules)
    if bid is not None:
        exchange.submit(make_order("bid", "ann", UP, BUY, bid, 100), NOW)
    if ask is not None:
        exchange.submit(make_order("ask", "bob", UP, SELL, ask, 100), NOW)
    return exchange


@pytest.mark.parametrize(
    ("bid", "ask", "tightens"),
    [
        (9_500, 9_700, False),  # the mid price is 0.96
        (9_500, 9_800, True),
        (9_600, 9_700, True),
        (300, 500, False),  # the mid price is 0.04
        (200, 500, True),
        (300, 400, True),
        (9_600, None, False),  # the mid price of one side could be anything beyond it
        (9_700, None, True),
        (None, 400, False),
        (None, 300, True),
        (None, 9_900, False),
        (100, None, False),
        (4_900, 5_100, False),
    ],
)
def test_the_tick_tightens_beyond_four_and_ninety_six_cents(
    bid: int | None, ask: int | None, tightens: bool
) -> None:
    exchange = quoted(bid, ask)
    assert exchange.tick_e4("m") == (10 if tightens else 100)
    resting = [s.order.order_id for name in ("ann", "bob") for s in exchange.open_orders(name)]
    assert resting == [name for name, price in (("bid", bid), ("ask", ask)) if price is not None]


@pytest.mark.parametrize("tick", [1_000, 50, 25, 10, 1])
def test_other_ticks_do_not_tighten(tick: int) -> None:
    assert quoted(9_000 if tick == 1_000 else 9_700, None, tick).tick_e4("m") == tick


def test_tightening_is_a_setting() -> None:
    assert quoted(9_700, 9_800, tighten=False).tick_e4("m") == 100


def test_orders_of_the_old_grid_trade_and_cancel_after_it_tightened_and_it_tells_once() -> None:
    exchange = quoted(200, None)
    events = exchange.submit(make_order("ask", "bob", UP, SELL, 500, 100), NOW)
    assert changes(events) == [(100, 10)]
    exchange.submit(make_order("fine", "bob", UP, SELL, 210, 100), NOW)
    events = exchange.submit(make_order("t", "cyd", UP, SELL, 200, 50), NOW)
    assert [leg.order_id for leg in trades(events)[0].makers] == ["bid"]
    assert changes(events) == []
    assert "rule: 0.001" in text_of(exchange, BUY, 205, 10)
    assert [end.order_id for end in ends(exchange.cancel("ask", NOW))] == ["ask"]
    assert [end.remaining_e6 for end in ends(exchange.cancel("bid", NOW))] == [50 * SHARE]
    assert exchange.tick_e4("m") == 10


def test_a_market_that_leaves_the_edge_by_a_cancel_or_a_trade_may_tighten_too() -> None:
    by_cancel = quoted(9_400, 9_500)
    by_cancel.submit(make_order("b", "cyd", UP, SELL, 9_900, 10), NOW)
    by_cancel.submit(make_order("c", "ann", UP, BUY, 9_300, 10), NOW)
    assert by_cancel.tick_e4("m") == 100
    assert changes(by_cancel.cancel("ask", NOW)) == [(100, 10)]  # 0.94 and 0.99: mid 0.965
    by_trade = quoted(9_400, 9_500)
    by_trade.submit(make_order("b", "cyd", UP, SELL, 9_900, 10), NOW)
    assert changes(by_trade.submit(make_order("t", "ann", UP, BUY, 9_500, 100), NOW)) == [(100, 10)]
