from dataclasses import replace

import pytest

from models.markets import Outcome, Side
from models.orders import (
    Fill,
    Order,
    OrderRequest,
    OrderState,
    Role,
    TradeStatus,
    VenueLeg,
    VenueOrder,
    VenueTrade,
)
from tasks.reconciliation import (
    cash_differences,
    fill_differences,
    order_differences,
    persistent,
    share_differences,
)

LEG = VenueLeg("0xorder", "up", Side.BUY, Role.MAKER, 5_000_000, 2_500_000, 0)
TRADE = VenueTrade("t1", "0xmarket", TradeStatus.MATCHED, 1, (LEG,))
FILL = Fill(
    "t1", "0xorder", "a", "0xmarket", "up", Outcome.UP, Side.BUY, Role.MAKER,
    5_000_000, 2_500_000, 0, TradeStatus.MATCHED, 1,
)  # fmt: skip
KNOWN = frozenset({"0xorder"})


@pytest.mark.parametrize(
    ("fill", "trade", "known", "kinds"),
    [
        (FILL, TRADE, KNOWN, []),
        (FILL, replace(TRADE, status=TradeStatus.CONFIRMED), KNOWN, []),
        (None, TRADE, KNOWN, ["missing_fill"]),
        (None, replace(TRADE, status=TradeStatus.FAILED), KNOWN, []),
        (FILL, replace(TRADE, status=TradeStatus.FAILED), KNOWN, ["fill"]),
        (replace(FILL, size_e6=1), TRADE, KNOWN, ["fill"]),
        (replace(FILL, fee_e6=10), TRADE, KNOWN, ["fill"]),
        (None, TRADE, frozenset(), ["stranger"]),
    ],
)
def test_fills(
    fill: Fill | None, trade: VenueTrade, known: frozenset[str], kinds: list[str]
) -> None:
    ours = {} if fill is None else {("t1", "0xorder"): fill}
    assert [found.kind for found in fill_differences(ours, [trade], known)] == kinds


def order(state: OrderState) -> Order:
    request = OrderRequest("i", "a", "0xm", "up", Outcome.UP, Side.BUY, 5_000, 5_000_000)
    return Order("0xorder", request, state)


VENUES = VenueOrder(
    "0xorder", "0xm", "up", Side.BUY, 5_000, 5_000_000, 0, OrderState.LIVE
)  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "venues", "kinds"),
    [
        ([OrderState.LIVE], [VENUES], []),
        ([OrderState.LIVE], [], ["ghost_order"]),
        ([OrderState.CANCELLED], [VENUES], ["missing_order"]),
        ([OrderState.CANCELLED], [], []),
        ([], [VENUES], ["missing_order"]),
    ],
)
def test_orders(ours: list[OrderState], venues: list[VenueOrder], kinds: list[str]) -> None:
    found = order_differences(
        {order(state).order_id: order(state) for state in ours},
        {item.order_id: item for item in venues},
    )
    assert [difference.kind for difference in found] == kinds


def test_shares_differ_by_one_base_unit() -> None:
    found = share_differences({"up": 5_000_000, "same": 1}, {"up": 5_000_001, "same": 1})
    assert [str(difference) for difference in found] == [
        "shares token up: ours 5.000000, venue 5.000001"
    ]


def test_a_token_only_one_side_knows_is_a_difference_unless_it_is_empty() -> None:
    assert len(share_differences({"a": 1}, {"b": 1})) == 2
    assert share_differences({"a": 0}, {"b": 0}) == []


def test_cash_is_compared_to_the_base_unit() -> None:
    assert cash_differences(1_000_000, 1_000_000) == []
    assert cash_differences(1_000_000, 999_999)[0].kind == "cash"


def test_money_in_motion_is_not_reported() -> None:
    first = cash_differences(1, 2)
    assert persistent(first, cash_differences(1, 3)) == []
    assert persistent(first, first) == first
