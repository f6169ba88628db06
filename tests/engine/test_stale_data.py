"""Orders are cancelled the moment their data are stale, not at the next second or tick."""

import pytest
from traders.world import START_S, Scripted, World

from engine.trader import TraderSettings
from models.events import Channel, FeedState
from models.units import MILLISECOND_NS, SECOND_NS, SHARE
from strategies.base import Quote

BOTH = Quote(4800, 20 * SHARE, 5100, 20 * SHARE)
SETTINGS = TraderSettings(max_book_age_s=9.25, max_spot_age_s=6.125)


class Watched(World):
    """Notes when cancels leave."""

    def __init__(self, **more) -> None:
        super().__init__(Scripted(on_tick=lambda view: [BOTH]), settings=SETTINGS, **more)
        self.cancelled_ns: list[int] = []
        cancel = self.venue.cancel

        async def noting(order_ids):
            self.cancelled_ns.append(self.clock.now_ns())
            return await cancel(order_ids)

        self.venue.cancel = noting

    async def quoting(self) -> None:
        await self.open()
        await self.run(3.3, step=0.3)
        assert len(self.resting()) == 2
        self.cancelled_ns.clear()


async def test_a_spot_price_that_stops_pulls_the_quotes_when_it_is_too_old():
    world = Watched()
    await world.quoting()
    last_ns = world.trader._data.spot_heard_ns()["BTC"]
    for turn in range(40):
        await world.clock.advance(0.25)
        world.quote(4900, 5000 + turn % 2 * 1000)
    assert world.resting() == []
    late_ns = world.cancelled_ns[0] - (last_ns + round(6.125 * SECOND_NS))
    assert 0 < late_ns < MILLISECOND_NS
    assert len(world.cancelled_ns) == 1, "once, not over and over"
    world.venue.spot(68_000.0)
    await world.run(2)
    assert len(world.resting()) == 2, "and it quotes again when prices come"
    await world.close()


async def test_a_book_nobody_hears_of_pulls_them_too():
    world = Watched()
    await world.quoting()
    last_ns = world.trader._data.states["0xm0"].ladder.recv_ns
    await world.run(12, step=0.3)
    late_ns = world.cancelled_ns[0] - (last_ns + round(9.25 * SECOND_NS))
    assert 0 < late_ns < MILLISECOND_NS
    await world.close()


@pytest.mark.parametrize("channel", [Channel.MARKET, Channel.SPOT])
@pytest.mark.parametrize("state", [FeedState.STALE, FeedState.DOWN])
async def test_a_channel_that_is_stale_or_down_pulls_them_at_once(channel, state):
    """Between two seconds and while a tick waits for its cadence, with no time passing at all."""
    world = Watched()
    await world.quoting()
    world.quote(4800, 5000)
    world.venue.status(channel, state)
    told_ns = world.clock.now_ns()
    assert (told_ns - START_S * SECOND_NS) % SECOND_NS
    await world.clock.drain()
    assert world.resting() == []
    assert world.cancelled_ns == [told_ns]
    await world.run(3)
    assert world.resting() == []
    world.venue.status(channel, FeedState.UP)
    world.venue.snapshot(world.market)
    await world.run(2)
    assert len(world.resting()) == 2
    await world.close()


async def test_the_user_channel_says_nothing_about_prices():
    world = Watched()
    await world.quoting()
    world.venue.status(Channel.USER, FeedState.DOWN)
    await world.run(2)
    assert world.cancelled_ns == []
    assert len(world.resting()) == 2
    await world.close()


async def test_a_strategy_that_failed_leaves_nothing_resting_on_stale_data_and_no_busy_loop():
    def tick(view):
        if view.elapsed_s > 2:
            raise RuntimeError("no idea")
        return [BOTH]

    world = Watched()
    world.trader._strategy.hooks["on_tick"] = tick
    await world.open()
    await world.run(4)
    world.venue.status(Channel.MARKET, FeedState.DOWN)
    await world.run(3)
    assert world.resting() == []
    await world.close()
