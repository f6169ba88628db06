"""Executions over the real matching core: at work, cancelled, killed wherever they wait."""

import pytest
from fakes.wire import Fault
from traders.pit import Pit
from traders.world import Scripted, World

from models.execution import Algo, AtEnd, ExecutionState
from models.markets import Outcome, Side
from models.units import SHARE, USD
from strategies.base import Buy, Cancel, Execute, Protect, Quote

UP, DOWN = Outcome.UP, Outcome.DOWN
TWAP = Execute(Algo.TWAP, UP, Side.BUY, 40 * SHARE, duration_s=40.0, slices=4, reason="slowly")
BERG = Execute(
    Algo.ICEBERG, UP, Side.BUY, 40 * SHARE, price_e4=4900, show_e6=10 * SHARE, duration_s=60.0,
    at_end=AtEnd.GIVE_UP,
)  # fmt: skip


def once(*intents):
    left = [list(intents)]
    return lambda *_: left.pop() if left else None


def only(world):
    (found,) = world.store.executions.values()
    return found


# --- in a live window -----------------------------------------------------------------------


async def test_a_twap_buys_its_size_slice_by_slice_in_a_live_window():
    world = World(Scripted(on_start=once(TWAP)))
    await world.open()
    await world.run(1)
    assert [r.size_e6 // SHARE for r in world.venue.submitted] == [10]
    await world.run(45)
    assert [r.size_e6 // SHARE for r in world.venue.submitted] == [10] * 4
    assert world.trader.portfolio.shares_e6(world.market.up_token) == 40 * SHARE
    assert only(world).state is ExecutionState.DONE
    assert [r.intent_id.rpartition(".")[0] for r in world.venue.submitted] == [only(world).id] * 4
    (signal,) = world.signals("execute")
    assert signal["execution"] == only(world).id
    assert signal["reason"] == "slowly"
    world.assert_books_agree()
    await world.close()


async def test_a_passive_execution_rests_and_then_crosses():
    wish = Execute(Algo.PASSIVE, UP, Side.BUY, 20 * SHARE, patience_s=5.0, duration_s=30.0)
    world = World(Scripted(on_start=once(wish)))
    await world.open()
    await world.run(2)
    assert world.resting() == [("Up", "BUY", 4900, 20)]
    await world.run(8)
    assert world.resting() == []
    assert world.trader.portfolio.shares_e6(world.market.up_token) == 20 * SHARE
    assert only(world).state is ExecutionState.DONE
    await world.close()


async def test_it_gives_up_in_time_and_leaves_nothing_behind():
    world = World(Scripted(on_start=once(BERG)))
    await world.open()
    await world.run(30)
    assert world.resting() == [("Up", "BUY", 4900, 10)]
    await world.run(33)
    assert world.resting() == []
    assert only(world).state is ExecutionState.GIVEN_UP
    assert "0.00 of 40.00 shares" in only(world).note
    await world.close()


async def test_a_vwap_hears_the_tape():
    wish = Execute(Algo.VWAP, UP, Side.BUY, 40 * SHARE, participation=0.5, duration_s=60.0)
    world = World(Scripted(on_start=once(wish)))
    await world.open()
    await world.run(3)
    assert world.venue.submitted == []
    world.venue.take(world.market, world.market.up_token, Side.BUY, 5000, 30 * SHARE)
    await world.run(3)
    assert [r.size_e6 // SHARE for r in world.venue.submitted] == [15], "half of what others traded"
    await world.close()


async def test_cancelling_everything_ends_executions_and_an_order_does_not():
    world = World(Scripted(on_start=once(BERG)))
    await world.open()
    await world.run(2)
    (order,) = world.trader.orders.open_orders()
    world.trader._strategy.hooks["on_tick"] = once(Cancel(order.order_id))
    await world.run(3)
    assert world.resting() == [("Up", "BUY", 4900, 10)], "the next slice"
    world.trader._strategy.hooks["on_tick"] = once(Cancel(reason="enough"))
    await world.run(3)
    assert world.resting() == []
    assert (only(world).state, only(world).note) == (ExecutionState.CANCELLED, "enough")
    await world.close()


async def test_one_at_a_time_per_outcome():
    world = World(Scripted(on_tick=lambda view: [BERG]))
    await world.open()
    await world.run(5)
    assert len(world.store.executions) == 1
    assert world.refusals() == ["working"]
    await world.close()


async def test_a_quote_leaves_the_slices_of_an_execution_alone():
    quote = Quote(4700, 20 * SHARE, 5200, 20 * SHARE)
    world = World(Scripted(on_start=once(BERG), on_tick=lambda view: [quote]))
    await world.open()
    await world.run(5)
    assert world.resting() == [
        ("Down", "BUY", 4800, 20), ("Up", "BUY", 4700, 20), ("Up", "BUY", 4900, 10),
    ]  # fmt: skip
    assert len(world.venue.submitted) == 3
    await world.close()


async def test_a_guard_that_fires_ends_what_buys_against_it():
    world = World(Scripted(on_start=once(Buy(UP, budget_e6=10 * USD), Protect(UP, 4000), TWAP)))
    await world.open()
    await world.run(5)
    world.quote(3900, 4000)
    await world.run(20)
    assert world.trader.portfolio.shares_e6(world.market.up_token) == 0
    assert only(world).state is ExecutionState.CANCELLED
    await world.close()


async def test_when_the_strategy_fails_its_executions_end_with_its_orders():
    def boom(*_):
        raise RuntimeError("no idea")

    world = World(Scripted(on_start=once(BERG)))
    await world.open()
    await world.run(2)
    world.trader._strategy.hooks["on_timer"] = boom
    await world.run(2)
    assert world.window.done()
    assert world.resting() == []
    assert (only(world).state, only(world).note) == (
        ExecutionState.CANCELLED,
        "the strategy failed",
    )
    assert not world.trader._desk.executions.working(world.market.condition_id)
    await world.close()


async def test_it_is_not_begun_when_it_could_not_be_kept():
    world = World(Scripted(on_start=once(TWAP)))
    world.wire.fail("execution_changed", Fault.STORE_LATE)
    await world.open()
    await world.run(5)
    assert world.venue.submitted == []
    assert only(world).state is ExecutionState.CANCELLED
    await world.close()


async def test_the_risk_check_holds_for_every_slice():
    world = World(Scripted(on_start=once(TWAP)), max_position_e6=12 * USD)
    await world.open()
    await world.run(45)
    assert world.trader.portfolio.shares_e6(world.market.up_token) == 20 * SHARE
    assert "max_position" in world.refusals()
    await world.close()


# --- killed ---------------------------------------------------------------------------------


async def slices(pit: Pit) -> None:
    await pit.wish(TWAP)
    for _ in range(3):
        await pit.turn()
        await pit.pass_time(5)


@pytest.mark.parametrize("arrives", [True, False], ids=["arrives", "lost"])
async def test_killed_at_every_wait_a_parent_goes_on_and_never_buys_more(arrives: bool) -> None:
    at = 0
    while True:
        at += 1
        pit = Pit()
        pit.quote(4900, 5000)
        if not await pit.dies(slices_without_time(pit), at):
            break
        await pit.restart(arrives)
        begun = bool(pit.store.executions)
        await pit.settle(60)
        pit.assert_agreed()
        assert pit.held() == (40 * SHARE if begun else 0)
        for one in pit.store.executions.values():
            assert one.state is ExecutionState.DONE
            assert pit.traded(one.id, Side.BUY) == 40 * SHARE
    assert at > 8


async def slices_without_time(pit: Pit) -> None:
    await pit.wish(TWAP)
    await pit.turn()
    await pit.turn()


async def test_two_deaths_in_the_middle_cost_nothing() -> None:
    pit = Pit()
    pit.quote(4900, 5000)
    await slices(pit)
    for arrives in (True, False):
        await pit.dies(pit.turn(), 3)
        await pit.restart(arrives)
        for _ in range(8):
            await pit.pass_time(1)
            await pit.turn()
    await pit.settle(40)
    assert pit.held() == 40 * SHARE
    pit.assert_agreed()
