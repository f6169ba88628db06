"""The venue's rules, one by one. Sources: the documentation pages named at each test."""

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
    levels,
    make_exchange,
    make_market,
    make_order,
    trades,
)

from engine.matching import Exchange
from engine.matching.audit import imbalances
from engine.matching.types import (
    CancelReason,
    CoreOrder,
    ExchangeConfig,
    MatchKind,
    OrderRefused,
    Placed,
)
from models.markets import FeeSchedule, Outcome, Side
from models.orders import OrderState
from models.units import SECOND_NS, SHARE, USD

FREE = make_market(fee=FeeSchedule())


def refusal(exchange: Exchange, order: CoreOrder, now_ns: int = NOW) -> tuple[str, str]:
    """Code and text of a refusal that changed nothing."""
    before = exchange.snapshot()
    with pytest.raises(OrderRefused) as caught:
        exchange.submit(order, now_ns)
    assert exchange.snapshot() == before
    return caught.value.code, caught.value.text


# --- refusals: error-codes page, order-types page -------------------------------------------------

REFUSALS = [
    pytest.param(
        make_order("a", "ann", UP, BUY, 5_050, 10),
        ("tick", "order a is invalid. Price (0.505) breaks minimum tick size rule: 0.01"),
        id="off the tick",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 0, 10, cash_e6=USD),
        ("tick", "order a is invalid. Price (0) breaks minimum tick size rule: 0.01"),
        id="price below one tick",
    ),
    pytest.param(
        make_order("a", "ann", UP, SELL, 10_000, 10),
        ("tick", "order a is invalid. Price (1) breaks minimum tick size rule: 0.01"),
        id="price above one less a tick",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 5_000, 4.99),
        ("min_size", "order a is invalid. Size (4.99) lower than the minimum: 5"),
        id="too small to rest",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 6_000, 1.5, FAK),
        ("min_size", "invalid amount for a marketable BUY order ($0.9), min size: $1"),
        id="market BUY under a dollar",
    ),
    pytest.param(
        make_order("taken", "ann", UP, BUY, 5_000, 10),
        ("duplicate", "order taken is invalid. Duplicated."),
        id="same id again",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 6_000, 10, post_only=True),
        ("crosses", "invalid post-only order: order crosses book"),
        id="post-only that crosses",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 5_000, 10, FAK, post_only=True),
        ("other", "Invalid order payload"),
        id="post-only FAK",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 5_000, 3_000),
        ("balance", "not enough balance / allowance"),
        id="more than the cash",
    ),
    pytest.param(
        make_order("a", "ann", UP, SELL, 5_000, 100.01),
        ("balance", "not enough balance / allowance"),
        id="more than the shares",
    ),
    pytest.param(
        make_order("a", "stranger", UP, BUY, 5_000, 10),
        ("balance", "not enough balance / allowance"),
        id="account without a deposit",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 6_000, 500, FOK),
        (
            "unmatched",
            "order couldn't be fully filled. FOK orders are fully filled or killed.",
        ),
        id="FOK beyond the depth",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 5_000, 10, FAK),
        (
            "unmatched",
            "no orders found to match with FAK order. "
            "FAK orders are partially filled or killed if no match is found.",
        ),
        id="FAK without a match",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 5_000, 10, GTD, expires_s=NOW // SECOND_NS + 179),
        ("other", "invalid expiration"),
        id="GTD sooner than 180 s",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 5_000, 10, GTC, expires_s=NOW // SECOND_NS + 600),
        ("other", "invalid expiration"),
        id="GTC with an expiry",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 5_000, 10.001),
        (
            "other",
            "invalid amounts, the buy orders maker amount supports a max accuracy of 4 decimals, "
            "taker amount a max of 2 decimals",
        ),
        id="limit size beyond 2 decimals",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 6_000, 10.00001, FAK, cash_e6=6 * USD),
        (
            "other",
            "invalid amounts, the market buy orders maker amount supports a max accuracy of "
            "2 decimals, taker amount a max of 4 decimals",
        ),
        id="market BUY of 5-decimal shares",
    ),
    pytest.param(
        make_order("a", "ann", UP, SELL, 4_000, 10.001, FAK),
        (
            "other",
            "invalid amounts, the market sell orders maker amount supports a max accuracy of "
            "2 decimals, taker amount a max of 4 decimals",
        ),
        id="market SELL of 3-decimal shares",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 5_000, 200_000_000),
        ("other", "Invalid order payload"),
        id="beyond what the core counts",
    ),
    pytest.param(
        make_order("a", "ann", UP, BUY, 5_000, 10, market="nowhere"),
        ("closed", "No orderbook exists for the requested token id"),
        id="unknown market",
    ),
]


@pytest.mark.parametrize(("order", "expected"), REFUSALS)
def test_refusal_has_the_venues_text_and_changes_nothing(
    order: CoreOrder, expected: tuple[str, str]
) -> None:
    exchange = make_exchange(shares=100 * SHARE)
    exchange.submit(make_order("taken", "bob", UP, SELL, 6_000, 50), NOW)
    exchange.submit(make_order("low", "bob", UP, BUY, 4_000, 20), NOW)
    assert refusal(exchange, order) == expected


def test_crossing_limit_buy_under_a_dollar_is_refused_and_a_resting_one_is_not() -> None:
    exchange = make_exchange(shares=100 * SHARE)
    exchange.submit(make_order("rests", "ann", DOWN, BUY, 1_000, 5), NOW)
    exchange.submit(make_order("m", "bob", DOWN, SELL, 1_500, 20), NOW)
    assert refusal(exchange, make_order("a", "ann", DOWN, BUY, 1_500, 5)) == (
        "min_size",
        "invalid amount for a marketable BUY order ($0.75), min size: $1",
    )


def test_token_of_another_market_is_refused() -> None:
    exchange = make_exchange()
    order = make_order("a", "ann", UP, BUY, 5_000, 10)
    foreign = CoreOrder(
        **{name: getattr(order, name) for name in order.__struct_fields__ if name != "token_id"},
        token_id="other-up",
    )
    assert refusal(exchange, foreign) == ("other", "Invalid token id")


@pytest.mark.parametrize(
    ("tick", "price", "shares", "fits"),
    [
        (1_000, 3_000, 10.01, True),
        (100, 5_100, 10.01, True),
        (50, 5_050, 10.01, True),
        (25, 5_025, 10.01, True),
        (10, 5_010, 10.01, True),
        (1, 5_001, 10.01, True),
        (1_000, 3_100, 10, False),
        (50, 5_010, 10, False),
        (25, 5_010, 10, False),
        (10, 5_001, 10, False),
    ],
)
def test_every_tick_size_takes_its_grid(tick: int, price: int, shares: float, fits: bool) -> None:
    exchange = make_exchange(make_market(tick_e4=tick))
    order = make_order("a", "ann", UP, BUY, price, shares)
    if fits:
        placed = exchange.submit(order, NOW)[0]
        assert isinstance(placed, Placed)
        assert placed.status is OrderState.LIVE
    else:
        assert refusal(exchange, order)[0] == "tick"


# --- matching -------------------------------------------------------------------------------------

# The maker's and the taker's order, what they make, and the cash of each for 10 shares.
MATCHES = [
    ((UP, SELL, 4_000), (UP, BUY, 4_000), MatchKind.DIRECT, 4, 4),
    ((UP, BUY, 4_000), (UP, SELL, 3_500), MatchKind.DIRECT, 4, 4),
    ((DOWN, SELL, 3_000), (DOWN, BUY, 3_500), MatchKind.DIRECT, 3, 3),
    ((UP, BUY, 4_000), (DOWN, BUY, 6_500), MatchKind.MINT, 4, 6),
    ((DOWN, BUY, 7_000), (UP, BUY, 3_000), MatchKind.MINT, 7, 3),
    ((UP, SELL, 6_000), (DOWN, SELL, 3_000), MatchKind.MERGE, 6, 4),
    ((DOWN, SELL, 2_000), (UP, SELL, 7_500), MatchKind.MERGE, 2, 8),
]


@pytest.mark.parametrize(("maker", "taker", "kind", "maker_cash", "taker_cash"), MATCHES)
def test_every_kind_of_match_trades_at_the_makers_price(
    maker: tuple[Outcome, Side, int],
    taker: tuple[Outcome, Side, int],
    kind: MatchKind,
    maker_cash: int,
    taker_cash: int,
) -> None:
    exchange = make_exchange(FREE, shares=100 * SHARE)
    before = exchange.pools("m").collateral_e6
    exchange.submit(make_order("m", "bob", *maker, 10), NOW)
    (trade,) = trades(exchange.submit(make_order("t", "ann", *taker, 10), NOW))
    assert trade.kind is kind
    assert trade.makers[0].price_e4 == maker[2]
    assert (trade.makers[0].cash_e6, trade.taker.cash_e6) == (maker_cash * USD, taker_cash * USD)
    change = {MatchKind.MINT: 10, MatchKind.MERGE: -10, MatchKind.DIRECT: 0}[kind] * SHARE
    assert exchange.pools("m").collateral_e6 == before + change
    assert imbalances(exchange) == []


def test_prices_that_do_not_meet_rest_on_both_sides() -> None:
    exchange = make_exchange()
    exchange.submit(make_order("u", "ann", UP, BUY, 4_000, 10), NOW)
    events = exchange.submit(make_order("d", "bob", DOWN, BUY, 5_900, 10), NOW)
    assert trades(events) == []
    assert exchange.book("m", UP) == ([(4_000, 10 * SHARE)], [(4_100, 10 * SHARE)])
    assert exchange.book("m", DOWN) == ([(5_900, 10 * SHARE)], [(6_000, 10 * SHARE)])


def test_price_then_time_decides_who_trades_across_tokens() -> None:
    exchange = make_exchange(FREE, shares=100 * SHARE)
    exchange.submit(make_order("late price", "bob", UP, SELL, 5_200, 10), NOW)
    exchange.submit(make_order("first", "bob", UP, SELL, 5_100, 10), NOW + 1)
    exchange.submit(make_order("second", "cyd", DOWN, BUY, 4_900, 10), NOW + 2)
    exchange.submit(make_order("third", "bob", UP, SELL, 5_100, 10), NOW + 3)
    events = exchange.submit(make_order("t", "ann", UP, BUY, 5_200, 35), NOW + 4)
    first, second = trades(events)
    assert [leg.order_id for leg in first.makers] == ["first", "second", "third"]
    assert [leg.kind for leg in first.makers] == [
        MatchKind.DIRECT, MatchKind.MINT, MatchKind.DIRECT,
    ]  # fmt: skip
    assert first.kind is MatchKind.MIXED
    assert (first.price_e4, first.size_e6) == (5_100, 30 * SHARE)
    assert [leg.order_id for leg in second.makers] == ["late price"]
    assert (second.price_e4, second.size_e6) == (5_200, 5 * SHARE)
    assert levels(events) == [(SELL, 5_100, 0), (SELL, 5_200, 5 * SHARE)]


def test_partly_filled_order_keeps_its_place_and_its_count() -> None:
    exchange = make_exchange(FREE, shares=100 * SHARE)
    exchange.submit(make_order("first", "bob", UP, SELL, 5_000, 10), NOW)
    exchange.submit(make_order("second", "cyd", UP, SELL, 5_000, 10), NOW)
    exchange.submit(make_order("a", "ann", UP, BUY, 5_000, 6), NOW)
    (trade,) = trades(exchange.submit(make_order("b", "ann", UP, BUY, 5_000, 6), NOW))
    assert [(leg.order_id, leg.size_e6, leg.filled_e6, leg.open_e6) for leg in trade.makers] == [
        ("first", 4 * SHARE, 10 * SHARE, 0),
        ("second", 2 * SHARE, 2 * SHARE, 8 * SHARE),
    ]


def test_market_buy_is_limited_by_cash_and_gets_more_shares_at_better_prices() -> None:
    exchange = make_exchange(FREE, shares=100 * SHARE)
    exchange.submit(make_order("m", "bob", UP, SELL, 4_000, 50), NOW)
    order = make_order("t", "ann", UP, BUY, 5_000, 10, FAK, cash_e6=5 * USD)
    (trade,) = trades(exchange.submit(order, NOW))
    assert (trade.size_e6, trade.taker.cash_e6) == (12_500_000, 5 * USD)
    assert exchange.order("t").state is OrderState.FILLED


def test_market_buy_sizes_have_six_decimals() -> None:
    exchange = make_exchange(FREE, shares=100 * SHARE)
    exchange.submit(make_order("m", "bob", UP, SELL, 5_100, 50), NOW)
    order = make_order("t", "ann", UP, BUY, 5_100, 9.8039, FOK, cash_e6=5 * USD)
    (trade,) = trades(exchange.submit(order, NOW))
    assert (trade.size_e6, trade.taker.cash_e6) == (9_803_921, 5 * USD - 1)


def test_limit_buy_at_a_better_price_pays_less_for_the_same_shares() -> None:
    exchange = make_exchange(FREE, shares=100 * SHARE)
    exchange.submit(make_order("m", "bob", UP, SELL, 4_000, 50), NOW)
    (trade,) = trades(exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 10), NOW))
    assert (trade.size_e6, trade.taker.cash_e6) == (10 * SHARE, 4 * USD)


def test_market_sell_is_limited_by_shares() -> None:
    exchange = make_exchange(FREE, shares=10 * SHARE)
    exchange.submit(make_order("m", "bob", UP, BUY, 6_000, 50), NOW)
    (trade,) = trades(exchange.submit(make_order("t", "ann", UP, SELL, 5_000, 10, FAK), NOW))
    assert (trade.size_e6, trade.taker.cash_e6) == (10 * SHARE, 6 * USD)


def test_partial_fak_drops_the_rest() -> None:
    exchange = make_exchange(FREE, shares=100 * SHARE)
    exchange.submit(make_order("m", "bob", UP, BUY, 6_000, 6), NOW)
    events = exchange.submit(make_order("t", "ann", UP, SELL, 6_000, 10, FAK), NOW)
    assert events[0].status is OrderState.CANCELLED
    assert [trade.size_e6 for trade in trades(events)] == [6 * SHARE]
    assert [(end.reason, end.remaining_e6) for end in ends(events)] == [
        (CancelReason.FAK_REST, 4 * SHARE)
    ]
    assert exchange.shares("ann", "m-up") == (94 * SHARE, 0)


# --- money ----------------------------------------------------------------------------------------


def test_taker_fee_is_charged_on_top_of_a_buy_and_out_of_a_sell() -> None:
    # 0.07 * 0.5 * 0.5 * 100 shares = 1.75 (fee page's example).
    exchange = make_exchange(shares=100 * SHARE, cash=1_000 * USD)
    exchange.submit(make_order("m", "bob", UP, SELL, 5_000, 100), NOW)
    exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 100), NOW)
    assert exchange.balance("ann").cash_e6 == 1_000 * USD - 50 * USD - 1_750_000
    assert exchange.balance("bob").cash_e6 == 1_050 * USD
    exchange.submit(make_order("n", "bob", UP, BUY, 5_000, 100), NOW)
    exchange.submit(make_order("s", "ann", UP, SELL, 5_000, 100), NOW)
    assert exchange.balance("ann").cash_e6 == 1_000 * USD - 2 * 1_750_000
    assert exchange.fees_paid("ann") == 3_500_000
    assert exchange.pools("m").fees_e6 == 3_500_000


def test_fee_of_a_marketable_buy_is_part_of_what_must_be_there() -> None:
    exchange = make_exchange(shares=100 * SHARE, cash=51_750_000)
    exchange.submit(make_order("m", "bob", UP, SELL, 5_000, 100), NOW)
    exchange.withdraw("ann", 1)
    order = make_order("t", "ann", UP, BUY, 5_000, 100, FOK)
    assert refusal(exchange, order)[0] == "balance"
    exchange.deposit("ann", 1)
    exchange.submit(order, NOW)
    assert exchange.balance("ann").cash_e6 == 0


def test_cash_and_shares_in_open_orders_cannot_be_used_twice() -> None:
    exchange = make_exchange(shares=10 * SHARE, cash=10 * USD)
    exchange.submit(make_order("b1", "ann", UP, BUY, 4_000, 15), NOW)
    assert exchange.balance("ann").free_e6 == 4 * USD
    assert refusal(exchange, make_order("b2", "ann", DOWN, BUY, 4_000, 10.01))[0] == "balance"
    exchange.submit(make_order("s1", "ann", UP, SELL, 6_000, 6), NOW)
    assert exchange.shares("ann", "m-up") == (10 * SHARE, 6 * SHARE)
    assert refusal(exchange, make_order("s2", "ann", UP, SELL, 7_000, 5))[0] == "balance"
    exchange.cancel("b1", NOW)
    exchange.cancel("s1", NOW)
    assert exchange.balance("ann").free_e6 == 10 * USD
    assert exchange.shares("ann", "m-up") == (10 * SHARE, 0)


def test_half_a_base_unit_rounds_down_for_both_buyers_of_a_mint() -> None:
    # 1 share unit of 1e-4 at 0.505: 50.5 base units for one, 49.5 for the other.
    config = ExchangeConfig(check_amounts=False, min_market_buy_e6=0)
    market = make_market(tick_e4=10, fee=FeeSchedule())
    exchange = make_exchange(market, config=config)
    exchange.submit(make_order("m", "bob", UP, BUY, 5_050, 10.0001), NOW)
    (trade,) = trades(exchange.submit(make_order("t", "ann", DOWN, BUY, 4_950, 10.0001), NOW))
    assert (trade.makers[0].cash_e6, trade.taker.cash_e6) == (5_050_050, 4_950_049)
    assert exchange.pools("m").rounding_e6 == -1


def test_makers_share_a_fifth_of_the_fees_by_what_their_fills_brought() -> None:
    exchange = make_exchange(shares=200 * SHARE)
    exchange.submit(make_order("b", "bob", UP, SELL, 5_000, 150), NOW)
    exchange.submit(make_order("c", "cyd", UP, SELL, 5_000, 50), NOW)
    exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 200), NOW)
    assert exchange.pools("m").rebate_e6 == 700_000
    paid = exchange.pay_rebates("m")
    assert [(rebate.account, rebate.cash_e6) for rebate in paid] == [
        ("bob", 525_000), ("cyd", 175_000),
    ]  # fmt: skip
    assert exchange.pools("m").fees_e6 == 2_800_000
    assert exchange.pay_rebates("m") == []
