"""Each algorithm against any market: never more than the parent, lots and minimums, the end."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traders.world import START_S, make_market

from engine.book import Ladder
from engine.execution.algorithms import make
from engine.execution.wishes import execution_of
from engine.order_index import Work
from engine.refusals import Refusal
from models.events import BookSnapshot, TradePrint
from models.execution import Execution
from models.markets import Outcome, Side
from models.orders import Order, OrderRequest, OrderState, TimeInForce
from models.units import SECOND_NS, SHARE
from strategies.base import Algo, AtEnd, Cancel, Execute, Place

MARKET = make_market()
START_NS = START_S * SECOND_NS
UP, BUY, SELL = Outcome.UP, Side.BUY, Side.SELL


@dataclass
class Street:
    """A book and a matching engine as simple as can be: what crosses may fill in part."""

    bid: int | None = 4900
    ask: int | None = 5000
    now_ns: int = START_NS
    orders: list[Order] = field(default_factory=list)

    @property
    def up(self) -> Ladder:
        ladder = Ladder()
        bids = () if self.bid is None else ((self.bid, 100 * SHARE),)
        asks = () if self.ask is None else ((self.ask, 100 * SHARE),)
        ladder.apply(BookSnapshot(1, 1, MARKET.condition_id, MARKET.up_token, bids, asks))
        return ladder

    @property
    def down(self):
        return self.up.mirrored

    def work(self) -> Work:
        return Work(
            sum(order.filled_e6 for order in self.orders),
            tuple(order for order in self.orders if not order.state.terminal),
        )

    def step(self, algorithm, filled: float = 1.0) -> list[Place]:
        """One step; what crosses fills this share of its size, in whole lots."""
        placed = []
        for one in algorithm.on_tick(self, self.now_ns, self.work()):
            if isinstance(one, Cancel):
                self.change(one.order_id, OrderState.CANCELLED)
                continue
            placed.append(one)
            self.place(one, filled)
        return placed

    def place(self, one: Place, filled: float) -> None:
        request = OrderRequest(
            f"e.{len(self.orders) + 1}", "anna", MARKET.condition_id, MARKET.up_token, one.outcome,
            one.side, one.price_e4, one.size_e6, one.tif, one.post_only,
        )  # fmt: skip
        crosses = (
            self.ask is not None and one.price_e4 >= self.ask
            if one.side is BUY
            else self.bid is not None and one.price_e4 <= self.bid
        )
        got = int(one.size_e6 * filled) // 10_000 * 10_000 if crosses else 0
        state = OrderState.LIVE
        if got == one.size_e6:
            state = OrderState.FILLED
        elif one.tif.immediate:
            state = OrderState.CANCELLED
        order_id = f"o{len(self.orders)}"
        self.orders.append(Order(order_id, request, state, got, created_ns=self.now_ns))

    def change(self, order_id: str, state: OrderState, filled_e6: int | None = None) -> None:
        for at, order in enumerate(self.orders):
            if order.order_id == order_id:
                self.orders[at] = replace(
                    order,
                    state=state,
                    filled_e6=order.filled_e6 if filled_e6 is None else filled_e6,
                )

    def hit(self, share: float) -> None:
        """The street trades with what rests."""
        for order in self.work().open:
            got = order.filled_e6 + int(order.open_e6 * share) // 10_000 * 10_000
            done = got == order.request.size_e6
            self.change(order.order_id, OrderState.FILLED if done else order.state, got)


def parent(algo: Algo, side: Side = BUY, **wish: Any) -> Execution:
    given = {"size_e6": 100 * SHARE, "duration_s": 100.0}
    made = execution_of(Execute(algo, UP, side, **(given | wish)), MARKET, "anna", "e", START_NS)
    assert isinstance(made, Execution), made
    return made


def shares(placed: list[Place]) -> list[float]:
    return [one.size_e6 / SHARE for one in placed]


# --- what each of them does -----------------------------------------------------------------


def test_twap_sends_equal_slices_evenly_and_makes_up_for_what_was_missed():
    street, algorithm = Street(), make(parent(Algo.TWAP, slices=4), MARKET)
    sizes = {}
    for second in range(95):
        street.now_ns = START_NS + second * SECOND_NS
        missed = 25 <= second < 30
        street.ask = None if missed else 5000
        if placed := shares(street.step(algorithm)):
            sizes[second] = placed
    assert sizes == {0: [25], 30: [25], 50: [25], 75: [25]}
    assert street.work().filled_e6 == 100 * SHARE
    assert algorithm.finished(street.work())


def test_vwap_follows_its_profile():
    algorithm = make(parent(Algo.VWAP, profile=(3.0, 1.0)), MARKET)
    street, at = Street(), {}
    for second in range(100):
        street.now_ns = START_NS + second * SECOND_NS
        street.step(algorithm)
        at[second] = street.work().filled_e6 // SHARE
    assert 70 <= at[50] <= 75
    assert 85 <= at[75] <= 88
    assert at[99] == 100


def test_vwap_takes_its_share_of_what_trades_and_remembers_it():
    algorithm = make(parent(Algo.VWAP, participation=0.2, at_end=AtEnd.GIVE_UP), MARKET)
    street = Street()
    assert street.step(algorithm) == []
    for _ in range(10):
        algorithm.on_trade(TradePrint(1, 1, "0xm0", MARKET.up_token, BUY, 5000, 20 * SHARE))
    assert shares(street.step(algorithm)) == [40]
    again = make(replace(algorithm.execution, progress=algorithm.snapshot()), MARKET)
    assert street.step(again) == []
    again.on_trade(TradePrint(1, 1, "0xm0", MARKET.up_token, BUY, 5000, 90 * SHARE))
    assert shares(street.step(again)) == [10], "40 of the 290 were ours"


def test_an_iceberg_shows_a_slice_at_a_time():
    wish = parent(Algo.ICEBERG, price_e4=4800, show_e6=30 * SHARE, at_end=AtEnd.GIVE_UP)
    algorithm, street, shown = make(wish, MARKET), Street(), []
    for _ in range(12):
        street.now_ns += SECOND_NS
        shown += shares(street.step(algorithm))
        assert street.work().open_e6 <= 30 * SHARE
        street.hit(0.5 if len(shown) < 3 and street.work().open[0].filled_e6 == 0 else 1.0)
    assert shown == [30, 30, 30, 10]
    assert all(order.request.price_e4 == 4800 for order in street.orders)


def test_passive_rests_at_the_best_price_moves_with_it_and_then_crosses():
    algorithm, street = make(parent(Algo.PASSIVE, patience_s=5.0), MARKET), Street()
    (first,) = street.step(algorithm)
    assert (first.price_e4, first.post_only) == (4900, True)
    street.hit(0.3)
    street.bid = 5000
    street.ask = 5200
    street.now_ns += SECOND_NS
    assert street.step(algorithm) == [], "the old one goes first"
    (second,) = street.step(algorithm)
    assert (second.price_e4, second.size_e6) == (5000, 70 * SHARE)
    street.now_ns += 5 * SECOND_NS
    assert street.step(algorithm) == []
    (third,) = street.step(algorithm)
    assert (third.price_e4, third.size_e6, third.post_only) == (5300, 70 * SHARE, False)


def test_a_limit_holds_for_every_slice():
    algorithm = make(parent(Algo.TWAP, slices=2, price_e4=5000), MARKET)
    street = Street(ask=5100)
    assert street.step(algorithm) == []
    street.ask = 5000
    (placed,) = street.step(algorithm)
    assert placed.price_e4 == 5000, "not a tick beyond"


@pytest.mark.parametrize(("at_end", "orders"), [(AtEnd.FINISH, [100.0]), (AtEnd.GIVE_UP, [])])
def test_at_the_end_it_finishes_or_gives_up_as_declared(at_end, orders):
    wish = parent(Algo.ICEBERG, SELL, price_e4=6000, show_e6=20 * SHARE, at_end=at_end)
    algorithm, street, crossed = make(wish, MARKET), Street(), []
    for second in range(101):
        street.now_ns = START_NS + second * SECOND_NS
        street.bid = 6000 if second >= 95 else 5900
        crossed += [one for one in street.step(algorithm) if one.tif is TimeInForce.FAK]
    assert shares(crossed) == orders
    assert street.work().open == ()


def test_it_ends_before_its_window_does_however_long_it_was_asked_for():
    made = parent(Algo.TWAP, duration_s=None)
    assert made.end_ns == MARKET.end_ns - 5 * SECOND_NS
    late = execution_of(
        Execute(Algo.TWAP, UP, BUY, 50 * SHARE, duration_s=60.0), MARKET, "anna", "e",
        MARKET.end_ns - 30 * SECOND_NS,
    )  # fmt: skip
    assert late.end_ns == made.end_ns
    gone = execution_of(
        Execute(Algo.TWAP, UP, BUY, 50 * SHARE), MARKET, "anna", "e", MARKET.end_ns - 5 * SECOND_NS
    )
    assert isinstance(gone, Refusal)


# --- nonsense -------------------------------------------------------------------------------

NAN = float("nan")


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        ({"algo": "twap?"}, "algo='twap?'"),
        ({"outcome": "Up?"}, "outcome='Up?'"),
        ({"side": None}, "side=None"),
        ({"size_e6": 0}, "size_e6=0"),
        ({"size_e6": NAN}, "size_e6=nan"),
        ({"size_e6": 4 * SHARE}, "below the market's minimum"),
        ({"price_e4": 5050}, "price_e4=5050"),
        ({"price_e4": NAN}, "price_e4=nan"),
        ({"duration_s": NAN}, "duration_s=nan"),
        ({"duration_s": -1}, "duration_s=-1"),
        ({"slices": 0}, "slices=0"),
        ({"slices": 2.5}, "slices=2.5"),
        ({"profile": (1.0, NAN)}, "every weight"),
        ({"profile": (0.0, 0.0)}, "add up to nothing"),
        ({"profile": [1.0]}, "must be a tuple"),
        ({"participation": 1.5}, "participation=1.5"),
        ({"patience_s": NAN}, "patience_s=nan"),
        ({"algo": Algo.ICEBERG}, "rests at price_e4"),
        ({"algo": Algo.ICEBERG, "price_e4": 5000}, "show_e6=None"),
        ({"at_end": "never"}, "at_end='never'"),
        ({"probability": 2}, "probability=2"),
        ({"reason": None}, "reason=None"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(wish, text):
    given = {"algo": Algo.TWAP, "outcome": UP, "side": BUY, "size_e6": 50 * SHARE}
    found = execution_of(Execute(**(given | wish)), MARKET, "anna", "e", START_NS)
    assert isinstance(found, Refusal)
    assert found.policy == "invalid"
    assert text in found.reason


# --- whatever happens -----------------------------------------------------------------------


@st.composite
def parents(draw):
    algo = draw(st.sampled_from(Algo))
    return parent(
        algo,
        draw(st.sampled_from(Side)),
        size_e6=draw(st.integers(500, 30_000)) * 10_000,
        duration_s=float(draw(st.integers(5, 120))),
        price_e4=draw(st.sampled_from([4700, 5000, 5300]))
        if algo is Algo.ICEBERG
        else draw(st.sampled_from([None, 4900, 5000, 5300])),
        slices=draw(st.integers(1, 30)),
        profile=tuple(draw(st.lists(st.floats(0.1, 5), max_size=6))),
        participation=draw(st.floats(0, 1)),
        show_e6=draw(st.integers(500, 5_000)) * 10_000,
        patience_s=float(draw(st.integers(0, 60))),
        at_end=draw(st.sampled_from(AtEnd)),
    )


happenings = st.lists(
    st.tuples(
        st.integers(0, 4_000),  # milliseconds later
        st.one_of(st.none(), st.integers(40, 60)),  # bid in cents
        st.one_of(st.none(), st.integers(1, 3)),  # spread in cents
        st.sampled_from([0.0, 0.33, 0.5, 1.0]),  # share of what crosses that fills
        st.sampled_from([0.0, 0.0, 0.4, 1.0]),  # share of what rests that fills
        st.booleans(),  # the session restarts
    ),
    min_size=5,
    max_size=60,
)


@given(parents(), happenings)
def test_slices_never_exceed_the_parent_and_are_always_orders_the_venue_takes(wish, happening):
    street, algorithm = Street(), make(wish, MARKET)
    for later_ms, bid, spread, filled, hit, restarts in happening:
        street.now_ns += later_ms * 1_000_000
        street.bid = None if bid is None else bid * 100
        street.ask = None if bid is None or spread is None else (bid + spread) * 100
        if restarts:
            algorithm = make(replace(wish, progress=algorithm.snapshot()), MARKET)
        algorithm.on_trade(TradePrint(1, 1, "0xm0", MARKET.up_token, BUY, 5000, 10 * SHARE))
        for one in street.step(algorithm, filled):
            assert one.side is wish.side
            assert one.size_e6 % 10_000 == 0
            assert one.price_e4 % 100 == 0
            assert 100 <= one.price_e4 <= 9900
            least = 10_000 if one.tif is TimeInForce.FAK else MARKET.min_size_e6
            assert one.size_e6 >= least
            assert not (one.side is BUY and one.tif.immediate), "cash would limit it, not shares"
            if wish.price_e4 is not None:
                better = one.price_e4 <= wish.price_e4
                assert better if wish.side is BUY else one.price_e4 >= wish.price_e4
            assert street.now_ns < wish.end_ns
        work = street.work()
        assert work.taken_e6 <= wish.size_e6
        if wish.algo is Algo.ICEBERG and street.now_ns < algorithm.finish_ns:
            assert work.open_e6 <= wish.plan["show_e6"]
        street.hit(hit)
    street.now_ns = wish.end_ns
    street.step(algorithm)
    assert street.work().open == (), "nothing rests beyond the end"
