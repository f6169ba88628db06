"""Random trading against an in-memory venue under random faults, events and crashes.

Whatever happened, once the faults stop and time passes, venue, books and journal agree.
"""

import asyncio
import random

from fakes.floor import Floor
from fakes.venue import make_market, make_request
from fakes.wire import Fault, crash_at
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.orders import OrderSettings
from models.errors import LeaseLost, StoreUnavailable, VenueError
from models.markets import Outcome, Side
from models.orders import OrderState, TimeInForce, TradeStatus

PRICES = st.integers(30, 70).map(lambda cents: cents * 100)
SHARES = st.integers(5, 20)
SIDES = st.sampled_from(Side)
OUTCOMES = st.sampled_from(Outcome)
VENUE_CALLS = st.sampled_from(["submit", "cancel", "cancel_all", "order", "open_orders", "trades"])
VENUE_FAULTS = st.sampled_from([Fault.LOST, Fault.TIMEOUT, Fault.LATE, Fault.UNAVAILABLE])
SEEDS = st.randoms(use_true_random=False)


class Trading(RuleBasedStateMachine):
    @initialize(
        free=st.booleans(),
        settle_s=st.sampled_from([5.0, 30.0]),
        reconcile=st.sampled_from([20, 999]),
    )
    def open_floor(self, free: bool, settle_s: float, reconcile: float) -> None:
        self.loop = asyncio.new_event_loop()
        markets = make_market("m1", rate_ppm=0 if free else 70_000), make_market("m2")
        self.floor = Floor(
            *markets, settings=OrderSettings(settle_s=settle_s, reconcile_s=reconcile)
        )
        self.intents = 0

    def run(self, work: object) -> object:
        return self.loop.run_until_complete(work)  # type: ignore[arg-type]

    def request(self, **wish: object) -> object:
        self.intents += 1
        market = self.floor.markets[self.intents % 2]
        return make_request(market, f"i{self.intents}", **wish), market  # type: ignore[arg-type]

    # --- what the agent does ------------------------------------------------------------------

    @rule(
        side=SIDES,
        outcome=OUTCOMES,
        price_e4=PRICES,
        shares=SHARES,
        tif=st.sampled_from(TimeInForce),
        post_only=st.booleans(),
    )
    def place(self, tif: TimeInForce, post_only: bool, **wish: object) -> None:
        request, market = self.request(tif=tif, post_only=post_only and not tif.immediate, **wish)
        try:
            order = self.run(self.floor.orders.place(request, market))
        except (VenueError, StoreUnavailable):
            return
        if order.state is not OrderState.REJECTED:
            again = self.run(self.floor.orders.place(request, market))
            assert again.order_id == order.order_id, "the same intent is placed once"

    @rule(which=st.integers(0, 50))
    def cancel(self, which: int) -> None:
        orders = self.floor.orders.open_orders()
        if orders:
            self.run(self.floor.orders.cancel([orders[which % len(orders)].order_id]))

    @rule(one_market=st.booleans())
    def cancel_all(self, one_market: bool) -> None:
        market = self.floor.market.condition_id if one_market else None
        self.run(self.floor.orders.cancel_all(market))

    @rule(which=st.integers(0, 50), price_e4=PRICES, shares=SHARES)
    def replace(self, which: int, price_e4: int, shares: int) -> None:
        orders = self.floor.orders.open_orders()
        if not orders:
            return
        old = orders[which % len(orders)]
        self.intents += 1
        market = next(m for m in self.floor.markets if m.condition_id == old.request.condition_id)
        request = make_request(
            market,
            f"i{self.intents}",
            side=old.request.side,
            outcome=old.request.outcome,
            price_e4=price_e4,
            shares=shares,
        )
        try:
            new = self.run(self.floor.orders.replace(old.order_id, request, market))
        except (VenueError, StoreUnavailable):
            return
        if new.order_id != old.order_id:
            assert not self.floor.venue.orders[old.order_id].open, "both are live"

    @rule()
    def work(self) -> None:
        self.run(self.floor.orders.work_off())

    @rule()
    def reconcile(self) -> None:
        try:
            self.run(self.floor.orders.reconcile())
        except VenueError:
            return

    # --- what the world does ------------------------------------------------------------------

    @rule(side=SIDES, outcome=OUTCOMES, price_e4=PRICES, shares=SHARES, market=st.integers(0, 1))
    def stand(self, side: Side, outcome: Outcome, price_e4: int, shares: int, market: int) -> None:
        token = self.floor.markets[market].token(outcome)
        self.floor.venue.stand(token, side, price_e4, shares * 1_000_000)

    @rule(which=st.integers(0, 50), shares=SHARES)
    def hit(self, which: int, shares: int) -> None:
        ids = self.floor.venue.open_ids()
        if ids:
            self.floor.venue.hit(ids[which % len(ids)], shares * 1_000_000)

    @rule(which=st.integers(0, 50), status=st.sampled_from(TradeStatus))
    def progress(self, which: int, status: TradeStatus) -> None:
        ids = list(self.floor.venue.venue_trades)
        if ids:
            self.floor.venue.progress(ids[which % len(ids)], status)

    @rule(which=st.integers(0, 50))
    def drop(self, which: int) -> None:
        ids = self.floor.venue.open_ids()
        if ids:
            self.floor.venue.drop(ids[which % len(ids)])

    @rule(delaying=st.booleans())
    def delay(self, delaying: bool) -> None:
        self.floor.venue.delaying = delaying
        if not delaying:
            self.floor.venue.release()

    @rule(rng=SEEDS, lose=st.sampled_from([0.0, 0.0, 0.3, 1.0]), worked=st.booleans())
    def deliver(self, rng: random.Random, lose: float, worked: bool) -> None:
        self.floor.deliver(rng, lose)
        if worked:
            self.run(self.floor.orders.work_off())

    @rule(which=st.integers(0, 50))
    def hide(self, which: int) -> None:
        ids = list(self.floor.venue.venue_trades)
        if ids:
            self.floor.venue.hidden.add(ids[which % len(ids)])

    @rule()
    def show(self) -> None:
        self.floor.venue.hidden.clear()

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.floor.clock.advance(seconds)

    # --- what goes wrong ----------------------------------------------------------------------

    @rule(call=VENUE_CALLS, faults=st.lists(VENUE_FAULTS, min_size=1, max_size=2))
    def venue_fault(self, call: str, faults: list[Fault]) -> None:
        if call not in ("submit", "cancel", "cancel_all"):
            faults = [Fault.LOST if fault is Fault.LATE else fault for fault in faults]
        self.floor.wire.fail(call, *faults)

    @rule()
    def refused(self) -> None:
        self.floor.wire.fail("submit", Fault.REJECTED)

    @rule(
        call=st.sampled_from(["order_signed", "order_changed", "fill"]),
        fault=st.sampled_from([Fault.STORE_LOST, Fault.STORE_LATE]),
    )
    def store_fault(self, call: str, fault: Fault) -> None:
        if call == "order_signed" and fault is Fault.STORE_LATE:
            fault = Fault.STORE_LOST
        self.floor.wire.fail(call, fault)

    @rule()
    def arrive_late(self) -> None:
        self.floor.wire.deliver_late()

    @rule(at=st.integers(1, 12), travels=st.booleans(), tif=st.sampled_from(TimeInForce))
    def crash_while_placing(self, at: int, travels: bool, tif: TimeInForce) -> None:
        request, market = self.request(tif=tif)
        self.crash(self.floor.orders.place(request, market), at, travels)

    @rule(at=st.integers(1, 12), travels=st.booleans())
    def crash_while_cancelling(self, at: int, travels: bool) -> None:
        self.crash(self.floor.orders.cancel_all(), at, travels)

    @rule(at=st.integers(1, 20), travels=st.booleans())
    def crash_while_working(self, at: int, travels: bool) -> None:
        self.crash(self.floor.orders.work_off(), at, travels)

    @rule(at=st.integers(1, 20))
    def crash_while_recovering(self, at: int) -> None:
        self.floor.boot()
        self.crash(self.floor.recover(), at, False)

    def crash(self, work: object, at: int, travels: bool) -> None:
        wire = self.floor.wire
        wire.faults.clear()
        self.run(crash_at(work, wire, at))  # type: ignore[arg-type]
        if travels:
            wire.deliver_late()
        wire.lose_in_flight()
        self.floor.venue.news.clear()
        self.run(self.floor.restart())

    # --- what holds ---------------------------------------------------------------------------

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        if not hasattr(self, "floor"):
            return
        intents = [ours.request.intent_id for ours in self.floor.venue.orders.values()]
        assert len(intents) == len(set(intents))
        self.floor.assert_told()

    @invariant()
    def everything_sent_is_in_the_journal(self) -> None:
        if hasattr(self, "floor"):
            assert self.floor.venue.orders.keys() <= self.floor.store.orders.keys()

    def teardown(self) -> None:
        if not hasattr(self, "floor"):
            return
        floor = self.floor
        floor.wire.faults.clear()
        floor.wire.deliver_late()
        floor.venue.hidden.clear()
        floor.venue.delaying = False
        floor.venue.release()
        self.run(floor.settle(250, step=5))
        self.run(floor.orders.reconcile())
        self.run(floor.settle(60, step=5))
        floor.assert_agreed()
        session = floor.orders
        self.run(floor.restart())
        self.run(floor.settle(60, step=5))
        floor.assert_agreed()
        self.run(self.fenced(session))
        self.loop.close()

    async def fenced(self, old: object) -> None:
        """The session before sends nothing any more."""
        request, market = self.request()
        try:
            await old.place(request, market)  # type: ignore[attr-defined]
        except LeaseLost:
            return
        raise AssertionError("a stale session placed an order")


TestTrading = Trading.TestCase
TestTrading.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
