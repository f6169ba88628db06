"""One model at work: what fills an order of ours, what does not, and who pays."""

import pytest

from engine.fills import ConstantDelay, OurOrder, Shadow, print_of
from models.errors import BadValue
from models.fills import FillModel
from models.markets import FeeSchedule, Market, Outcome, Side, taker_fee_e6
from models.orders import Role, TimeInForce
from models.units import SHARE, USD

UP, DOWN, BUY, SELL = Outcome.UP, Outcome.DOWN, Side.BUY, Side.SELL
FEE = FeeSchedule(rate_ppm=70_000)
MARKET = Market("m", "m", "?", "BTC", "15m", "u", "d", 0, 900, 100, 5 * SHARE, FEE)
BIDS, ASKS = ((4_900, 100), (4_800, 200)), ((5_100, 100), (5_200, 200))


def levels(pairs):
    return tuple((price, size * SHARE) for price, size in pairs)


class Room:
    """A shadow with one market and one account, fed in whole shares."""

    def __init__(self, model=FillModel.BACK, cash=1_000, view=None, **options):
        self.shadow = Shadow(model, **options)
        self.shadow.open_account("a", cash * USD)
        self.shadow.list_market(MARKET, view)
        self.now = 0
        self.count = 0
        self.show()

    @property
    def account(self):
        return self.shadow.accounts["a"]

    def show(self, bids=BIDS, asks=ASKS, prints=(), after=1):
        self.now += after
        return self.shadow.step("m", prints, levels(bids), levels(asks), self.now)

    def place(self, side, price, size, outcome=UP, **options):
        self.count += 1
        order = OurOrder(f"o{self.count}", "a", "m", outcome, side, price, size * SHARE, **options)
        return self.shadow.place(order, self.now)

    def sold(self, price, size):
        """A print: somebody sold Up at this price."""
        return print_of(UP, SELL, price, size * SHARE)


def sizes(fills):
    return [fill.size_e6 / SHARE for fill in fills]


# --- resting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", list(FillModel))
def test_touching_our_price_fills_nothing(model):
    room = Room(model)
    room.place(BUY, 4_900, 50)
    assert room.show(bids=((4_900, 100),), asks=((5_000, 100),)) == []
    assert room.show(bids=((4_900, 100),), asks=((4_910, 100),)) == []
    room.sold(4_900, 0)
    assert room.show(bids=((4_890, 100),), asks=((4_910, 100),)) == []


def test_a_print_fills_what_comes_past_those_ahead():
    room = Room(FillModel.BACK)
    room.place(BUY, 4_900, 50)
    assert room.show(prints=[room.sold(4_900, 80)], bids=((4_900, 20),)) == []
    fills = room.show(prints=[room.sold(4_900, 45)], bids=((4_800, 200),))
    assert sizes(fills) == [25]
    assert fills[0].role is Role.MAKER
    assert (fills[0].price_e4, fills[0].fee_e6) == (4_900, 0)
    assert sizes(room.show(prints=[room.sold(4_900, 45)])) == [25]


def test_a_print_on_the_other_side_fills_nothing():
    room = Room(FillModel.FRONT)
    room.place(BUY, 4_900, 50)
    assert room.show(prints=[print_of(UP, BUY, 4_900, 500 * SHARE)]) == []


@pytest.mark.parametrize("model", list(FillModel))
def test_a_print_at_a_worse_price_has_come_past_us(model):
    room = Room(model)
    room.place(BUY, 4_900, 50)
    assert sizes(room.show(prints=[room.sold(4_800, 30)])) == [30]


@pytest.mark.parametrize(
    ("outcome", "side", "price"), [(DOWN, BUY, 5_100), (UP, SELL, 4_900)], ids=["mint", "direct"]
)
def test_prints_of_either_token_count(outcome, side, price):
    room = Room(FillModel.FRONT)
    room.place(BUY, 4_900, 50)
    assert sizes(room.show(prints=[print_of(outcome, side, price, 10 * SHARE)])) == [10]


def test_our_orders_share_a_print_best_price_first_then_oldest():
    room = Room(FillModel.FRONT)
    room.place(BUY, 4_800, 40)
    room.place(BUY, 4_900, 40)
    room.place(BUY, 4_900, 40)
    fills = room.show(prints=[room.sold(4_800, 100)])
    assert [(fill.order_id, fill.size_e6 // SHARE) for fill in fills] == [
        ("o2", 40),
        ("o3", 40),
        ("o1", 20),
    ]


def test_an_order_on_down_stands_on_the_mirrored_side():
    room = Room(FillModel.FRONT)
    room.place(BUY, 4_900, 30, outcome=DOWN)
    fills = room.show(prints=[print_of(UP, BUY, 5_100, 12 * SHARE)])
    assert sizes(fills) == [12]
    assert (fills[0].outcome, fills[0].price_e4) == (DOWN, 4_900)
    assert room.account.holdings["m"].down_e6 == 12 * SHARE


def test_depth_that_comes_to_our_price_fills_us_once():
    room = Room(FillModel.BACK)
    room.place(BUY, 4_900, 50)
    assert sizes(room.show(bids=((4_700, 10),), asks=((4_900, 20), (5_000, 9)))) == [20]
    assert room.show(bids=((4_700, 10),), asks=((4_900, 20), (5_000, 9))) == []
    assert sizes(room.show(bids=((4_700, 10),), asks=((4_900, 25), (5_000, 9)))) == [5]


def test_a_book_that_is_lost_puts_nobody_at_the_front():
    room = Room(FillModel.BACK)
    room.place(BUY, 4_900, 50)
    room.show(bids=(), asks=())
    room.show(bids=((4_900, 100),))
    assert room.shadow.ahead("m") == {"o1": 100 * SHARE}


def test_a_level_beyond_the_feeds_view_puts_nobody_at_the_front():
    room = Room(FillModel.BACK, view=2)
    room.place(BUY, 4_700, 50)
    assert room.shadow.ahead("m") == {"o1": None}
    assert room.show(prints=[room.sold(4_700, 500)], bids=BIDS) == []
    room.show(bids=((4_700, 300), (4_600, 10)))
    assert room.shadow.ahead("m") == {"o1": 300 * SHARE}


# --- taking -------------------------------------------------------------------------------------


def test_a_taking_order_walks_the_book_and_pays_the_fee():
    room = Room()
    fills = room.place(BUY, 5_200, 150, tif=TimeInForce.FAK)
    assert [(fill.price_e4, fill.size_e6 // SHARE) for fill in fills] == [(5_100, 100), (5_200, 50)]
    fees = taker_fee_e6(5_100, 100 * SHARE, FEE) + taker_fee_e6(5_200, 50 * SHARE, FEE)
    assert sum(fill.fee_e6 for fill in fills) == fees
    assert room.account.cash_e6 == 1_000 * USD - 51 * USD - 26 * USD - fees


def test_what_we_took_stays_away_for_the_rest_of_the_recording():
    room = Room()
    assert sizes(room.place(BUY, 5_100, 60, tif=TimeInForce.FAK)) == [60]
    assert sizes(room.place(BUY, 5_100, 60, tif=TimeInForce.FAK)) == [40]
    room.show(asks=((5_100, 101),))
    assert sizes(room.place(BUY, 5_100, 60, tif=TimeInForce.FAK)) == [1]
    room.show(asks=((5_100, 30),))
    assert room.place(BUY, 5_100, 60, tif=TimeInForce.FAK) == []
    room.show(asks=((5_100, 50),))
    assert sizes(room.place(BUY, 5_100, 60, tif=TimeInForce.FAK)) == [20]
    room.show(asks=((5_200, 50),))
    room.show(asks=((5_100, 50),))
    assert sizes(room.place(BUY, 5_100, 60, tif=TimeInForce.FAK)) == [50]


def test_fok_takes_all_or_nothing():
    room = Room()
    assert room.place(BUY, 5_100, 101, tif=TimeInForce.FOK) == []
    assert sizes(room.place(BUY, 5_100, 100, tif=TimeInForce.FOK)) == [100]


def test_a_budget_limits_an_immediate_buy_by_cash():
    room = Room()
    fills = room.place(BUY, 5_200, 10, tif=TimeInForce.FAK, budget_e6=102 * USD // 10)
    assert sizes(fills) == [20]
    assert sizes(room.place(BUY, 5_200, 10, tif=TimeInForce.FOK, budget_e6=51 * USD)) == [
        80,
        pytest.approx(19.615384),
    ]


def test_what_crosses_partly_rests_with_its_remainder():
    room = Room(FillModel.FRONT)
    assert sizes(room.place(BUY, 5_100, 150)) == [100]
    assert sizes(room.show(prints=[room.sold(5_100, 80)], asks=((5_200, 9),))) == [50]


def test_post_only_never_takes():
    room = Room()
    assert room.place(BUY, 5_100, 10, post_only=True) == []
    assert room.shadow.ahead("m") == {}


# --- money --------------------------------------------------------------------------------------


def test_no_fill_without_the_cash():
    room = Room(FillModel.FRONT, cash=10)
    room.place(BUY, 4_000, 100)
    assert sizes(room.show(prints=[room.sold(4_000, 100)])) == [25]
    assert room.account.cash_e6 == 0
    assert room.show(prints=[room.sold(4_000, 100)]) == []


def test_no_sale_of_shares_that_are_not_there():
    room = Room(FillModel.FRONT)
    room.place(SELL, 5_100, 50)
    assert room.show(prints=[print_of(UP, BUY, 5_100, 50 * SHARE)]) == []
    room.place(BUY, 5_200, 20, tif=TimeInForce.FAK)
    assert sizes(room.show(prints=[print_of(UP, BUY, 5_100, 50 * SHARE)])) == [20]
    assert room.account.holdings["m"].up_e6 == 0


@pytest.mark.parametrize(("winner", "profit"), [(UP, 51), (DOWN, -49)])
def test_settlement_pays_the_winner(winner, profit):
    room = Room(FillModel.FRONT)
    room.place(BUY, 4_900, 100)
    room.show(prints=[room.sold(4_900, 100)])
    assert room.shadow.open_value_e6("a") == 0
    assert room.shadow.settle("m", winner, room.now) == {"a": profit * USD}
    assert room.account.settled_e6 == profit * USD
    assert room.account.cash_e6 == (1_000 + profit) * USD


def test_open_positions_are_worth_what_somebody_bids():
    room = Room(FillModel.FRONT)
    room.place(BUY, 4_900, 100)
    room.show(prints=[room.sold(4_900, 100)], bids=((4_500, 1),))
    assert room.shadow.open_value_e6("a") == -4 * USD


def test_a_market_or_account_that_is_not_open_is_refused():
    room = Room()
    order = OurOrder("x", "b", "m", UP, BUY, 4_900, SHARE)
    with pytest.raises(BadValue, match="'b'"):
        room.shadow.place(order, 1)
    with pytest.raises(BadValue, match="price_e4 10000"):
        OurOrder("x", "a", "m", UP, BUY, 10_000, SHARE)


# --- time and the owner -------------------------------------------------------------------------


def test_an_order_under_way_meets_nothing_and_a_cancel_under_way_saves_nothing():
    room = Room(FillModel.FRONT, order_delay=ConstantDelay(10))
    room.place(BUY, 4_900, 50)
    assert room.show(prints=[room.sold(4_900, 10)], after=9) == []
    assert sizes(room.show(prints=[room.sold(4_900, 10)], after=1)) == [10]
    room.shadow.cancel("m", "o1", room.now)
    assert sizes(room.show(prints=[room.sold(4_900, 10)], after=9)) == [10]
    assert room.show(prints=[room.sold(4_900, 10)], after=1) == []


def test_an_order_arrives_in_the_book_of_its_arrival():
    room = Room(order_delay=ConstantDelay(10))
    room.place(BUY, 5_100, 50, tif=TimeInForce.FAK)
    room.show(asks=((5_200, 50),), after=5)
    assert room.show(after=9) == []


def test_what_its_owner_thinks_filled_goes_when_the_owner_acts_there_again():
    room = Room(FillModel.BACK)
    room.place(BUY, 4_900, 50)
    room.shadow.over("m", "o1")
    room.place(SELL, 5_500, 10)
    assert set(room.shadow.ahead("m")) == {"o1", "o2"}
    room.place(BUY, 4_800, 50)
    assert set(room.shadow.ahead("m")) == {"o2", "o3"}
