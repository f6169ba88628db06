"""The promises, on any tape: bounds in order, nothing from nowhere, money exact."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fills import CENTRAL, OPTIMISTIC, PESSIMISTIC, FillTriple, OurOrder, Print
from models.fills import FillModel
from models.markets import FeeSchedule, Market, Outcome, Side
from models.orders import Role, TimeInForce
from models.units import PRICE_ONE, SHARE, USD

MARKET = Market(
    "m", "m", "?", "BTC", "15m", "u", "d", 0, 900, 100, 5 * SHARE, FeeSchedule(70_000)
)  # fmt: skip
NAMES = (PESSIMISTIC, CENTRAL, OPTIMISTIC)

SIZE = st.integers(1, 60 * SHARE)


@st.composite
def books(draw):
    """An uncrossed book around 0.50, in whole cents, up to four levels a side."""
    best_bid = draw(st.integers(46, 52))
    best_ask = best_bid + draw(st.integers(1, 3))
    bids = tuple((100 * (best_bid - i), s) for i, s in enumerate(draw(st.lists(SIZE, max_size=4))))
    asks = tuple((100 * (best_ask + i), s) for i, s in enumerate(draw(st.lists(SIZE, max_size=4))))
    return bids, asks


PRINTS = st.lists(
    st.builds(Print, st.booleans(), st.integers(44, 56).map(lambda c: 100 * c), SIZE), max_size=3
)
STEP = st.tuples(st.just("step"), PRINTS, books())
PLACE = st.tuples(
    st.just("place"),
    st.sampled_from(list(Outcome)),
    st.sampled_from(list(Side)),
    st.integers(44, 56).map(lambda cents: 100 * cents),
    st.integers(5 * SHARE, 40 * SHARE),
    st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.FAK, TimeInForce.FOK]),
)
CANCEL = st.tuples(st.just("cancel"), st.integers(0, 10))
FLOW = st.lists(st.one_of(STEP, STEP, PLACE, PLACE, CANCEL), max_size=40)
CENTRALS = st.sampled_from([FillModel.LOG, FillModel.POWER])


def triple_of(central, cash_e6, grace_ns=0, shares=0):
    triple = FillTriple(central, grace_ns=grace_ns)
    triple.open_account("a", cash_e6)
    triple.list_market(MARKET)
    for shadow in triple.shadows.values():
        if shares:
            account = shadow.accounts["a"]
            account.trade("m", Outcome.UP, Side.BUY, 5_000, shares)
            account.trade("m", Outcome.DOWN, Side.BUY, 5_000, shares)
    return triple


def play(triple, flow):
    """Yield every action with what filled in it, by model's name."""
    placed = 0
    for now, action in enumerate(flow, start=1):
        if action[0] == "step":
            _, prints, (bids, asks) = action
            yield action, triple.step("m", prints, bids, asks, now)
        elif action[0] == "place":
            _, outcome, side, price, size, tif = action
            order = OurOrder(f"o{placed}", "a", "m", outcome, side, price, size, tif)
            placed += 1
            yield action, triple.place(order, now)
        else:
            yield action, triple.cancel("m", f"o{action[1]}", now)


PASSIVE = st.lists(
    st.one_of(
        st.tuples(
            st.just("step"), PRINTS, st.tuples(
                st.lists(SIZE, max_size=5), st.lists(SIZE, max_size=5)
            )
        ),
        st.tuples(st.just("place"), st.integers(45, 49), st.integers(5 * SHARE, 40 * SHARE)),
        CANCEL,
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=200)
@given(CENTRALS, PASSIVE, st.sampled_from([0, 2]))
def test_order_by_order_back_fills_no_more_than_central_and_central_no_more_than_front(
    central, flow, grace_ns
):
    """With the cash for everything, for orders that rest in a book that does not cross them."""
    passive = []
    for action in flow:
        if action[0] == "step":
            bids, asks = action[2]
            book = (
                tuple((100 * (49 - i), size) for i, size in enumerate(bids)),
                tuple((100 * (51 + i), size) for i, size in enumerate(asks)),
            )
            passive.append(("step", action[1], book))
        elif action[0] == "place":
            order = (Outcome.UP, Side.BUY, 100 * action[1], action[2], TimeInForce.GTC)
            passive.append(("place", *order))
        else:
            passive.append(action)
    filled = {name: defaultdict(int) for name in NAMES}
    for _, fills in play(triple_of(central, 10**15, grace_ns), passive):
        for name in NAMES:
            for fill in fills[name]:
                filled[name][fill.order_id] += fill.size_e6
        for order_id in filled[OPTIMISTIC] | filled[CENTRAL] | filled[PESSIMISTIC]:
            back, mid, front = (filled[name][order_id] for name in NAMES)
            assert back <= mid <= front


@settings(max_examples=200)
@given(CENTRALS, FLOW, st.integers(0, 60))
def test_nothing_fills_beyond_what_traded_was_displayed_or_is_paid_for(central, flow, dollars):
    triple = triple_of(central, dollars * USD)
    sizes = [action[4] for action in flow if action[0] == "place"]
    filled = {name: defaultdict(int) for name in NAMES}
    shown = ((), ())
    for action, fills in play(triple, flow):
        traded = defaultdict(int)
        if action[0] == "step":
            shown = action[2]
            for trade in action[1]:
                traded[trade.buys] += trade.size_e6
        for name in NAMES:
            got = defaultdict(int)
            for fill in fills[name]:
                filled[name][fill.order_id] += fill.size_e6
                bid = (fill.side is Side.BUY) == (fill.outcome is Outcome.UP)
                got[bid] += fill.size_e6
                if fill.role is Role.TAKER:
                    up = fill.outcome is Outcome.UP
                    price = fill.price_e4 if up else PRICE_ONE - fill.price_e4
                    assert fill.size_e6 <= dict(shown[1] if bid else shown[0])[price]
            for bid, size in got.items():
                # A bid is reached by prints of sellers and by displayed asks.
                displayed = sum(there for _, there in (shown[1] if bid else shown[0]))
                assert size <= traded[not bid] + displayed
            account = triple.shadows[name].accounts["a"]
            assert account.cash_e6 >= 0
            assert all(h.up_e6 >= 0 and h.down_e6 >= 0 for h in account.holdings.values())
    for name in NAMES:
        for order_id, size in filled[name].items():
            assert size <= sizes[int(order_id[1:])]


@given(CENTRALS, FLOW)
def test_without_prints_or_reaching_depth_nothing_fills(central, flow):
    """Bids at 0.44 and asks at 0.56 are touched, joined and left, but nobody comes for them."""
    quiet = []
    for action in flow:
        if action[0] == "step":
            bids = tuple((price - 800, size) for price, size in action[2][0])
            asks = tuple((price + 800, size) for price, size in action[2][1])
            quiet.append(("step", [], (bids, asks)))
        elif action[0] == "place":
            bid = (action[2] is Side.BUY) == (action[1] is Outcome.UP)
            up_price = 4_400 if bid else 5_600
            price = up_price if action[1] is Outcome.UP else PRICE_ONE - up_price
            quiet.append((*action[:3], price, *action[4:]))
    assert all(not any(fills.values()) for _, fills in play(triple_of(central, 10**12), quiet))


@given(CENTRALS, FLOW, st.sampled_from(list(Outcome)))
def test_money_adds_up_to_the_unit(central, flow, winner):
    triple = triple_of(central, 500 * USD, shares=50 * SHARE)
    flows = dict.fromkeys(NAMES, -50 * USD)
    shares = {name: dict.fromkeys(Outcome, 50 * SHARE) for name in NAMES}
    for _, fills in play(triple, flow):
        for name in NAMES:
            for fill in fills[name]:
                cash = fill.price_e4 * fill.size_e6 // PRICE_ONE
                sign = 1 if fill.side is Side.BUY else -1
                flows[name] -= sign * cash + fill.fee_e6
                shares[name][fill.outcome] += sign * fill.size_e6
    paid = triple.settle("m", winner, 10**9)
    for name, result in triple.results("a").items():
        expected = flows[name] + shares[name][winner]
        assert result.settled_e6 == paid[name]["a"] == expected
        assert result.cash_e6 == 500 * USD + expected
        assert result.open_e6 == 0
        assert result.pnl_e6 == expected


@given(CENTRALS, FLOW)
def test_the_same_flow_gives_the_same_bytes_and_survives_saving(central, flow):
    first, second = triple_of(central, 100 * USD), triple_of(central, 100 * USD)
    fills = [f for _, f in play(first, flow)]
    assert fills == [f for _, f in play(second, flow)]
    assert first.export() == second.export()
    back = FillTriple(central)
    back.restore(first.export())
    assert back.export() == first.export()
