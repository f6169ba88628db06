"""Sessions that were suspended, or that took orders over, are played again decision by decision."""

import json

import pytest
from traders.world import Scripted, World

from engine.recording import Recorder
from engine.recording.compare import compare
from engine.recording.reading import market_data, markets_of
from engine.recording.rehearsal import rehearse
from engine.trader import Trader
from models.events import Channel, FeedState
from models.markets import Side
from models.units import SHARE
from store.tape import tape_from_events
from strategies import library


class Recorded(World):
    """A world whose trader is recorded."""

    def boot(self, strategy):
        plain = super().boot(strategy)
        self.entries = []
        recorder = Recorder(self.entries.append, self.clock)
        recorder.open(self.spec(strategy), self.limits, self.settings)
        self.trader = Trader(
            spec=self.spec(strategy),
            strategy=recorder.strategy(strategy),
            venue=recorder.venue(self.venue),
            feed=recorder.feed(plain._feed),
            discovery=recorder.discovery(self.venue),
            journal=recorder.journal(self.journal),
            notices=self.posts,
            clock=recorder.clock,
            limits=self.limits,
            settings=self.settings,
        )
        return self.trader

    def again(self):
        """Play the recording again and compare."""
        tape = tape_from_events(market_data(self.entries), markets_of(self.entries))
        return compare(rehearse(lambda: self.entries, tape))


def moving(world: World, second: int) -> None:
    """A market that wanders, so that quotes follow it."""
    step = (second * 7 % 11 - 5) * 100
    world.quote(4900 + step, 5100 + step)
    if second % 4 == 0:
        world.venue.take(world.market, world.market.up_token, Side.SELL, 4600, 5 * SHARE)


async def pass_time(world: World, seconds: int) -> None:
    for second in range(seconds):
        moving(world, second)
        await world.run(1, spot=68_000.0 + second)


async def test_a_suspended_session():
    world = Recorded(library.create("market-maker", {}))
    await world.open()
    await pass_time(world, 12)
    suspending = world.spawn(world.trader.suspend("lease", "in doubt"))
    await pass_time(world, 10)
    assert suspending.done()
    world.trader.resume("lease")
    await pass_time(world, 12)
    await world.close()
    found = world.again()
    assert found.exact, (found.calls, found.decisions, found.orders)
    assert found.orders.live > 4


async def test_a_session_with_stale_data():
    world = Recorded(library.create("market-maker", {}))
    await world.open()
    await pass_time(world, 9)
    world.venue.status(Channel.SPOT, FeedState.STALE)
    await pass_time(world, 4)
    world.venue.status(Channel.SPOT, FeedState.UP)
    await pass_time(world, 9)
    await world.run(15, spot=None)
    await pass_time(world, 9)
    await world.close()
    found = world.again()
    assert found.exact, (found.calls, found.decisions, found.orders)


@pytest.mark.parametrize("late_book", [False, True])
async def test_a_session_that_took_orders_over(late_book):
    world = Recorded(library.create("market-maker", {}))
    await world.open()
    await pass_time(world, 12)
    stopping = world.spawn(world.trader.stop("handed over", keep_orders=True))
    await world.clock.drain()
    assert stopping.done()
    assert world.again().exact, "the session that handed over"
    world.store.checkpoint = json.loads(json.dumps(world.store.checkpoint))
    await world.clock.advance(0.4)
    world.boot(library.create("market-maker", {}))
    snapshot = world.venue.snapshot
    if late_book:
        world.venue.snapshot = lambda market: None
    await world.trader.start(keep_orders=True)
    world.window = world.spawn(world.trader.run_window(world.market))
    await world.clock.advance(0.7)
    snapshot(world.market)
    await pass_time(world, 12)
    await world.close()
    found = world.again()
    assert found.exact, (found.calls, found.decisions, found.orders)
    assert found.calls.live > 10


async def test_a_session_that_changed_its_mind_would_be_found_out():
    """The comparison can fail: a strategy that is another one decides otherwise."""
    world = Recorded(library.create("market-maker", {}))
    await world.open()
    await pass_time(world, 12)
    await world.close()
    tape = tape_from_events(market_data(world.entries), markets_of(world.entries))
    assert not compare(rehearse(lambda: world.entries, tape, lambda _: Scripted())).exact
