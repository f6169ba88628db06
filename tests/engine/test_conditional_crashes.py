"""Kill the process wherever it waits while a guard fires: it sells exactly once."""

import asyncio

import pytest
from fakes.wire import Fault
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from traders.pit import Pit

from models.conditional import ConditionState
from models.errors import StoreUnavailable, VenueError
from models.markets import Outcome, Side
from models.units import SHARE
from risk.sizing import STEP_E6
from strategies.base import Buy, Place, Protect, Sell

UP = Outcome.UP
GUARDED = Buy(UP, size_e6=20 * SHARE, slippage_ticks=0, stop_loss_e4=4000, take_profit_e4=6000)


async def bought() -> Pit:
    pit = Pit()
    pit.quote(4900, 5000)
    await pit.wish(GUARDED)
    for _ in range(5):
        await pit.pass_time(1)
        await pit.turn()
    assert pit.held() == 20 * SHARE
    return pit


async def fire(pit: Pit) -> None:
    """The bid falls for a moment; the guard must not need it to stay there."""
    await pit.turn()
    pit.quote(4900, 5000)
    await pit.turn()


@pytest.mark.parametrize("arrives", [True, False], ids=["arrives", "lost"])
async def test_killed_at_every_wait_of_firing_it_sells_once(arrives: bool) -> None:
    at = waits = 0
    while True:
        at += 1
        pit = await bought()
        pit.quote(3900, 4100)
        if not await pit.dies(fire(pit), at):
            break
        waits += 1
        pit.quote(3900, 4100)
        await pit.restart(arrives)
        await pit.settle()
        pit.assert_agreed()
        assert pit.held() == 0
        (intent,) = {c.intent_id for c in pit.store.conditions.values()}
        sold = sum(pit.traded(c.id, Side.SELL) for c in pit.store.conditions.values())
        assert sold == pit.traded(intent, Side.BUY) == 20 * SHARE
        states = sorted(c.state.value for c in pit.store.conditions.values())
        assert states == ["cancelled", "done"]
    assert waits >= 8, "firing has more waits than that"


@pytest.mark.parametrize("arrives", [True, False], ids=["arrives", "lost"])
async def test_killed_at_every_wait_of_buying_the_purchase_is_guarded_or_not_there(arrives) -> None:
    at = 0
    while True:
        at += 1
        pit = Pit()
        pit.quote(4900, 5000)
        if not await pit.dies(pit.wish(GUARDED), at):
            break
        await pit.restart(arrives)
        await pit.settle(20)
        armed = [c for c in pit.store.conditions.values() if c.state is ConditionState.ARMED]
        assert len(armed) == (2 if pit.held() else 0)
        pit.quote(3900, 4100)
        await pit.settle(20)
        assert pit.held() == 0
        pit.assert_agreed()
    assert at > 6


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.TIMEOUT, Fault.UNAVAILABLE])
async def test_a_sale_whose_reply_never_comes_is_not_sent_again(fault: Fault) -> None:
    pit = await bought()
    pit.quote(3900, 4100)
    pit.wire.fail("submit", fault)
    await pit.turn()
    await pit.settle(30)
    assert pit.held() == 0
    assert pit.traded("", Side.SELL) == 0
    sold = sum(pit.traded(c.id, Side.SELL) for c in pit.store.conditions.values())
    assert sold == 20 * SHARE
    pit.assert_agreed()


async def test_while_a_sale_may_still_arrive_no_other_goes_out() -> None:
    pit = await bought()
    await pit.wish(Protect(UP, stop_loss_e4=4500, size_e6=8 * SHARE))
    pit.quote(4400, 4600)
    pit.wire.fail("submit", Fault.LATE)
    for _ in range(4):
        await pit.turn()
        await pit.pass_time(1)
    pit.wire.deliver_late()
    await pit.settle(30)
    assert pit.held() == 12 * SHARE
    pit.assert_agreed()


PRICES = st.integers(10, 90).map(lambda cents: cents * 100)
WAITS = st.integers(0, 25)
CALLS = st.sampled_from(
    ["submit", "cancel", "trades", "order", "order_signed", "conditions_changed"]
)
FAULTS = {
    "submit": [Fault.LOST, Fault.TIMEOUT, Fault.UNAVAILABLE],
    "cancel": [Fault.LOST, Fault.TIMEOUT],
    "trades": [Fault.LOST],
    "order": [Fault.LOST],
    "order_signed": [Fault.STORE_LOST, Fault.STORE_LATE],
    "conditions_changed": [Fault.STORE_LOST, Fault.STORE_LATE],
}


class Guarding(RuleBasedStateMachine):
    """Random purchases, guards, prices, faults and deaths."""

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.pit = Pit()
        self.bid = 4900
        self.pit.quote(4900, 5000)

    def do(self, work, at: int, arrives: bool) -> None:
        async def attempt() -> None:
            if await self.pit.dies(work, at):
                await self.pit.restart(arrives)

        try:
            self.loop.run_until_complete(attempt())
        except (VenueError, StoreUnavailable):
            # The next session could not start: the one after it does, with nothing in its way.
            self.pit.wire.faults.clear()
            self.loop.run_until_complete(self.pit.restart(arrives))

    @rule(
        shares=st.integers(5, 40),
        stop=st.one_of(st.none(), st.integers(1, 20)),
        take=st.one_of(st.none(), st.integers(1, 20)),
        at=WAITS,
        arrives=st.booleans(),
    )
    def buy(self, shares, stop, take, at, arrives) -> None:
        price = self.bid + 100
        wish = Place(
            UP,
            Side.BUY,
            price_e4=price,
            size_e6=shares * SHARE,
            stop_loss_e4=None if stop is None else max(100, price - stop * 100),
            take_profit_e4=None if take is None else min(9900, price + take * 100),
        )
        self.do(self.pit.wish(wish), at, arrives)

    @rule(
        trail=st.one_of(st.none(), st.integers(100, 5000)),
        stop=st.one_of(st.none(), PRICES),
        after=st.one_of(st.none(), st.integers(1, 30)),
        shares=st.one_of(st.none(), st.integers(1, 30)),
        at=WAITS,
        arrives=st.booleans(),
    )
    def protect(self, trail, stop, after, shares, at, arrives) -> None:
        wish = Protect(
            UP,
            stop_loss_e4=stop,
            trail_bps=trail,
            exit_after_s=after,
            size_e6=None if shares is None else shares * SHARE,
        )
        self.do(self.pit.wish(wish), at, arrives)

    @rule(shares=st.integers(1, 30), at=WAITS, arrives=st.booleans())
    def sell(self, shares, at, arrives) -> None:
        self.do(self.pit.wish(Sell(UP, size_e6=shares * SHARE)), at, arrives)

    @rule(bid=PRICES, shares=st.sampled_from([3, 15, 200]))
    def move(self, bid, shares) -> None:
        self.bid = bid
        self.pit.quote(bid, bid + 100, shares * SHARE)

    @rule(at=WAITS, arrives=st.booleans())
    def turn(self, at, arrives) -> None:
        self.do(self.pit.turn(), at, arrives)

    @rule(seconds=st.sampled_from([0.5, 1, 3]), fresh=st.booleans())
    def time_passes(self, seconds, fresh) -> None:
        self.loop.run_until_complete(self.pit.pass_time(seconds, fresh))

    @precondition(lambda self: not any(self.pit.wire.faults.values()))
    @rule(call=CALLS, pick=st.integers(0, 2))
    def fault(self, call, pick) -> None:
        kinds = FAULTS[call]
        self.pit.wire.fail(call, kinds[pick % len(kinds)])

    @invariant()
    def no_more_is_sold_than_was_promised(self) -> None:
        pit = self.pit
        groups: dict[str, list] = {}
        for one in pit.store.conditions.values():
            groups.setdefault(one.group_id, []).append(one)
        for members in groups.values():
            sold = {one.id: pit.traded(one.id, Side.SELL) for one in members}
            assert sum(size > 0 for size in sold.values()) <= 1, "one of a group sells"
            for one in members:
                if sold[one.id] and one.intent_id:
                    assert sold[one.id] <= pit.traded(one.intent_id, Side.BUY)
                elif sold[one.id] and one.size_e6 is not None:
                    assert sold[one.id] <= one.size_e6
        assert all(count == 1 for count in pit.sent.values())

    def teardown(self) -> None:
        """Calm: what fired ends, what is guarded by a stop is sold, the books agree."""
        if not hasattr(self, "pit"):
            return
        pit = self.pit
        pit.wire.faults.clear()
        try:
            pit.quote(100, 200)
            self.loop.run_until_complete(pit.settle(45))
            self.no_more_is_sold_than_was_promised()
            pit.assert_agreed()
            for one in pit.desk.guards.of(pit.market.condition_id):
                assert one.state is ConditionState.ARMED, one
                nothing = pit.held() < STEP_E6
                assert nothing or self.may_wait(one), one
        finally:
            self.loop.close()

    def may_wait(self, one) -> bool:
        """Whether an armed guard rightly did not fire at a bid of one cent."""
        if one.kind.value in ("take_profit", "time_exit"):
            return True
        if one.kind.value == "trailing_stop":
            return one.high_e4 is None or one.high_e4 * (10_000 - one.trail_bps) < 100 * 10_000
        order = next(
            (o for o in self.pit.store.orders.values() if o.request.intent_id == one.intent_id),
            None,
        )
        return bool(one.intent_id) and (order is None or order.filled_e6 < STEP_E6)


Guarding.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestGuarding = Guarding.TestCase
