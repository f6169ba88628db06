"""Money and shares from fills: exact, whatever order and number they come in."""

import random
from dataclasses import replace

import pytest
from fakes.venue import make_market
from hypothesis import given
from hypothesis import strategies as st

from engine.portfolio import FillChange, Portfolio, Position
from models.errors import BadValue
from models.markets import Outcome, Side
from models.orders import Fill, Role, TradeStatus
from models.units import notional_e6

MARKETS = make_market("m1"), make_market("m2")
SHARE = 1_000_000
CAPITAL = 1_000 * SHARE


def fill(
    number: int = 1,
    *,
    side: Side = Side.BUY,
    outcome: Outcome = Outcome.UP,
    shares: float = 10,
    price_e4: int = 5000,
    fee_e6: int = 0,
    status: TradeStatus = TradeStatus.CONFIRMED,
    market: int = 0,
    order_id: str = "o1",
) -> Fill:
    size = int(shares * SHARE)
    return Fill(
        trade_id=f"t{number}",
        order_id=order_id,
        agent="anna",
        condition_id=MARKETS[market].condition_id,
        token_id=MARKETS[market].token(outcome),
        outcome=outcome,
        side=side,
        role=Role.TAKER,
        size_e6=size,
        cash_e6=notional_e6(price_e4, size),
        fee_e6=fee_e6,
        status=status,
        matched_ns=1_000 + number,
    )


def portfolio(*fills: Fill) -> Portfolio:
    books = Portfolio("anna", CAPITAL)
    for item in fills:
        books.apply(item)
    return books


def picture(books: Portfolio) -> object:
    """Everything a portfolio says, to compare two of them."""
    tokens = [market.token(outcome) for market in MARKETS for outcome in Outcome]
    return (
        books.cash_e6,
        [books.position(token) for token in tokens],
        [books.sellable_e6(token) for token in tokens],
        [books.flows(market.condition_id) for market in MARKETS],
        books.fills(),
    )


UP = MARKETS[0].up_token


# --- one thing at a time --------------------------------------------------------------------------


def test_purchase_costs_cash_and_fee() -> None:
    books = portfolio(fill(fee_e6=175_000))
    assert books.cash_e6 == CAPITAL - 5 * SHARE - 175_000
    assert books.position(UP) == Position(
        UP, 10 * SHARE, 0, cost_e6=5 * SHARE, realised_e6=-175_000, fees_e6=175_000
    )


def test_round_trip_leaves_no_cost_and_the_gain() -> None:
    books = portfolio(fill(1), fill(2, side=Side.SELL, price_e4=6000, fee_e6=100))
    position = books.position(UP)
    assert (position.shares_e6, position.cost_e6) == (0, 0)
    assert position.realised_e6 == SHARE - 100
    assert books.cash_e6 == CAPITAL + SHARE - 100


def test_sale_takes_its_share_of_the_average_cost() -> None:
    books = portfolio(
        fill(1, price_e4=4000),
        fill(2, price_e4=6000),
        fill(3, side=Side.SELL, shares=5, price_e4=7000),
    )
    position = books.position(UP)
    assert (position.shares_e6, position.cost_e6) == (15 * SHARE, 7_500_000)
    assert position.realised_e6 == 3_500_000 - 2_500_000
    assert position.unrealised_e6(6000) == 9_000_000 - 7_500_000


@pytest.mark.parametrize(
    ("status", "confirmed", "pending", "sellable"),
    [
        (TradeStatus.MATCHED, 0, 10, 0),
        (TradeStatus.RETRYING, 0, 10, 0),
        (TradeStatus.MINED, 0, 10, 10),
        (TradeStatus.CONFIRMED, 10, 0, 10),
        (TradeStatus.FAILED, 0, 0, 0),
    ],
)
def test_settlement_decides_what_is_confirmed_and_what_can_be_sold(
    status: TradeStatus, confirmed: int, pending: int, sellable: int
) -> None:
    books = portfolio(fill(status=status))
    position = books.position(UP)
    assert (position.confirmed_e6, position.pending_e6) == (confirmed * SHARE, pending * SHARE)
    assert books.sellable_e6(UP) == sellable * SHARE


def test_unconfirmed_sale_is_not_sold_again() -> None:
    books = portfolio(fill(1), fill(2, side=Side.SELL, shares=4, status=TradeStatus.MATCHED))
    assert books.sellable_e6(UP) == 6 * SHARE
    assert books.sellable_e6(UP, reserved_e6=5 * SHARE) == SHARE
    assert books.sellable_e6(UP, reserved_e6=9 * SHARE) == 0


def test_each_report_says_what_it_changed() -> None:
    books = portfolio()
    told = [
        books.apply(fill(1, status=status))
        for status in (
            TradeStatus.MATCHED,
            TradeStatus.MATCHED,
            TradeStatus.CONFIRMED,
            TradeStatus.MINED,
            TradeStatus.FAILED,
            TradeStatus.CONFIRMED,
        )
    ]
    change = FillChange
    assert told == [
        change.NEW, change.NONE, change.ADVANCED, change.NONE, change.REVERSED, change.NONE,
    ]  # fmt: skip
    assert books.apply(fill(2, status=TradeStatus.FAILED)) is FillChange.FAILED
    assert books.cash_e6 == CAPITAL


def test_one_trade_may_fill_two_orders() -> None:
    books = portfolio(fill(1), fill(1, side=Side.SELL, order_id="o2"))
    assert (books.cash_e6, books.shares_e6(UP)) == (CAPITAL, 0)
    assert len(books.fills()) == 2


def test_unknown_token_is_an_empty_position() -> None:
    assert portfolio().position("x") == Position("x")
    assert portfolio().sellable_e6("x") == 0


@pytest.mark.parametrize(
    ("winner", "payout"), [(Outcome.UP, 10 * SHARE), (Outcome.DOWN, 4 * SHARE), (None, 0)]
)
def test_winning_shares_pay_one_each(winner: Outcome | None, payout: int) -> None:
    books = portfolio(fill(1, fee_e6=7), fill(2, outcome=Outcome.DOWN, shares=4))
    result = books.window_result(MARKETS[0], winner, closed_ns=9)
    assert result.payout_e6 == payout
    assert result.winner == (winner.value if winner else "")
    assert (result.bought_e6, result.sold_e6, result.fees_e6) == (7 * SHARE, 0, 7)
    assert (result.fills, result.opened_ns, result.closed_ns) == (2, 1_001, 9)


def test_market_without_fills_has_an_empty_result() -> None:
    result = portfolio().window_result(MARKETS[0], Outcome.UP, 9)
    assert (result.pnl_e6, result.fills, result.opened_ns) == (0, 0, MARKETS[0].start_ns)


def test_settling_turns_the_market_into_cash_once() -> None:
    books = portfolio(fill(1), fill(2, market=1))
    result = books.window_result(MARKETS[0], Outcome.UP, 9)
    books.settle(result)
    books.settle(result)
    assert books.settled_e6 == 5 * SHARE
    assert books.cash_e6 == CAPITAL + 5 * SHARE - 5 * SHARE
    assert books.markets() == (MARKETS[1].condition_id,)
    assert books.shares_e6(UP) == 0
    assert books.apply(fill(1, status=TradeStatus.FAILED)) is FillChange.NONE


def test_result_older_than_the_books_is_refused() -> None:
    books = portfolio(fill(1))
    result = books.window_result(MARKETS[0], Outcome.UP, 9)
    books.apply(fill(2))
    with pytest.raises(BadValue, match="again"):
        books.settle(result)
    assert books.settled_e6 == 0


def test_loading_starts_afresh() -> None:
    books = portfolio(fill(1))
    books.load([fill(2, market=1)], settled_e6=77)
    assert books.cash_e6 == CAPITAL + 77 - 5 * SHARE
    assert books.shares_e6(UP) == 0


def test_equity_values_marked_tokens_and_keeps_the_others_at_cost() -> None:
    books = portfolio(fill(1), fill(2, outcome=Outcome.DOWN, shares=10, price_e4=3000))
    assert books.equity_e6({UP: 6000}) == CAPITAL - 8 * SHARE + 6 * SHARE + 3 * SHARE
    assert books.cost_e6(MARKETS[0]) == 8 * SHARE


# --- whatever comes -------------------------------------------------------------------------------

FILLS = st.lists(
    st.builds(
        fill,
        st.integers(1, 6),
        side=st.sampled_from(Side),
        outcome=st.sampled_from(Outcome),
        shares=st.integers(1, 5_000).map(lambda cents: cents / 100),
        price_e4=st.integers(1, 9_999),
        fee_e6=st.integers(0, 50_000).map(lambda unit: unit * 10),
        market=st.integers(0, 1),
    ),
    max_size=6,
    unique_by=lambda item: item.trade_id,
)


@st.composite
def reports(draw: st.DrawFn) -> tuple[list[Fill], list[Fill]]:
    """Fills in their final status, and reports of them: repeated, in any order, all statuses."""
    final, told = [], []
    for item in draw(FILLS):
        statuses = draw(st.lists(st.sampled_from(TradeStatus), min_size=1, max_size=5))
        told += [replace(item, status=status) for status in statuses]
        final.append(replace(item, status=max(statuses, key=lambda status: status.rank)))
    return final, draw(st.permutations(told))


@given(reports())
def test_books_depend_only_on_the_last_word_on_each_fill(
    news: tuple[list[Fill], list[Fill]],
) -> None:
    final, told = news
    assert picture(portfolio(*told)) == picture(portfolio(*final))


@given(reports())
def test_reports_again_change_nothing(news: tuple[list[Fill], list[Fill]]) -> None:
    _, told = news
    books = portfolio(*told)
    before = picture(books)
    assert all(books.apply(item) is FillChange.NONE for item in told)
    assert picture(books) == before


@given(FILLS, st.randoms(use_true_random=False))
def test_failed_trades_leave_no_trace(fills: list[Fill], rng: random.Random) -> None:
    failing = [item for item in fills if rng.random() < 0.5]
    kept = [item for item in fills if item not in failing]
    books = portfolio(*fills)
    for item in failing:
        assert books.apply(replace(item, status=TradeStatus.FAILED)) is FillChange.REVERSED
    clean = portfolio(*kept)
    assert books.cash_e6 == clean.cash_e6
    for market in MARKETS:
        assert books.flows(market.condition_id) == clean.flows(market.condition_id)
        for outcome in Outcome:
            token = market.token(outcome)
            assert books.position(token) == clean.position(token)


@given(FILLS, st.integers(1, 9_999))
def test_realised_and_unrealised_add_up_to_cash_and_worth(fills: list[Fill], mark: int) -> None:
    books = portfolio(*fills)
    positions = [books.position(m.token(outcome)) for m in MARKETS for outcome in Outcome]
    gain = sum(p.realised_e6 + p.unrealised_e6(mark) for p in positions)
    assert gain == books.cash_e6 - CAPITAL + sum(p.value_e6(mark) for p in positions)
    assert all(p.cost_e6 >= 0 for p in positions)


@given(FILLS, st.sampled_from(Outcome), st.sampled_from(Outcome))
def test_settled_cash_is_flows_and_payout(fills: list[Fill], one: Outcome, two: Outcome) -> None:
    books = portfolio(*fills)
    flows = sum(item.cash_change_e6 for item in fills)
    payout = 0
    for market, winner in zip(MARKETS, (one, two), strict=True):
        payout += max(0, books.shares_e6(market.token(winner)))
        result = books.window_result(market, winner, 9)
        books.settle(result)
    assert books.cash_e6 == CAPITAL + flows + payout
    assert books.settled_e6 == flows + payout
    assert books.fills() == ()


@given(FILLS)
def test_shares_are_the_sum_of_the_fills(fills: list[Fill]) -> None:
    books = portfolio(*fills)
    for market in MARKETS:
        for outcome in Outcome:
            token = market.token(outcome)
            held = sum(item.share_change_e6 for item in fills if item.token_id == token)
            assert books.shares_e6(token) == held
            assert books.sellable_e6(token) == max(0, held)
