"""A strategy with indicators over recorded real books, through a trader and the matching core."""

import numpy as np
import pytest
from traders.recording import Recording, recordings
from traders.world import START_S, World, make_market

from models.markets import Outcome
from models.orders import Role
from models.units import MILLISECOND_NS, SECOND_NS, SPOT_USD, USD
from strategies import library
from strategies.base import Strategy
from strategies.features import Bollinger, Ema, Feature, History, Source, ZScore, arrays

RECORDINGS = recordings()


async def play(recording: Recording, strategy: Strategy, restart_at: int = -1) -> World:
    """Trade one recorded window to its settlement; at one row the session may be replaced."""
    start_ns = recording.start_s * SECOND_NS
    market = make_market(0, start_ns=start_ns, end_ns=recording.end_s * SECOND_NS)
    world = World(strategy, market, at_s=recording.start_s - START_S - 1, drain_turns=25)
    world.venue.strikes[market.condition_id] = round(recording.strike * SPOT_USD)
    await world.start()
    world.spawn(world.trader.run_window(market))
    last_trade = None
    for number, second in enumerate(recording.seconds):
        await world.clock.advance_to(second.ts_ms * MILLISECOND_NS)
        if number == restart_at:
            await world.close()
            world.boot(type(strategy)(strategy.params))
            await world.start()
            world.spawn(world.trader.run_window(market))
            await world.clock.drain()
        if second.spot == second.spot:
            world.venue.spot(second.spot)
        if second.trade is not None and second.trade != last_trade:
            last_trade = second.trade
            side, price, size = second.trade
            world.venue.take(market, market.up_token, side, price, size)
        world.venue.impose(market, second.bids, second.asks)
        await world.clock.drain()
    return world


async def settled(recording: Recording, world: World):
    market = world.market
    await world.clock.advance_to(market.end_ns)
    spot = next(s.spot for s in reversed(recording.seconds) if s.spot == s.spot)
    winner = Outcome.UP if spot >= recording.strike else Outcome.DOWN
    settling = world.spawn(world.trader.settle(market))
    world.venue.resolve(market, winner)
    await world.clock.advance(10)
    result = settling.result()
    await world.close()
    return result


class Watcher(Strategy):
    """Trades nothing; declares enough to be compared with the whole series."""

    name = "watcher"

    def indicators(self):
        return {
            "mids": Feature(History(900), Source.MID),
            "z": Feature(ZScore(60), Source.MID),
            "prices": Feature(History(900)),
            "ema": Feature(Ema(30)),
            "bands": Feature(Bollinger(60)),
        }


@pytest.mark.parametrize("restart_at", [-1, 400])
async def test_what_a_strategy_reads_is_the_array_form_of_the_recording(restart_at):
    world = await play(RECORDINGS[0], Watcher(Watcher.Params()), restart_at)
    view = world.trader._data.states["0xm0"].view
    view.now_ns = world.market.end_ns
    times, mids = view.window("mids", 900)
    assert len(mids) > 800
    assert (np.diff(times) >= SECOND_NS).all()
    assert (times % SECOND_NS == 0).all()
    assert view.indicator("z") == pytest.approx(arrays.z_score(mids, 60)[-1], abs=1e-9)
    _, prices = view.window("prices", 900)
    assert view.indicator("ema") == pytest.approx(arrays.ema(prices, 30)[-1], rel=1e-12)
    for part, series in zip(("upper", "value", "lower"), arrays.bollinger(prices, 60), strict=True):
        assert view.indicator("bands", part) == pytest.approx(series[-1], rel=1e-12)
    await world.close()


async def test_mean_reversion_buys_pushes_and_ends_flat_or_settled():
    fills, pnl_e6 = 0, 0
    for recording in RECORDINGS:
        strategy = library.create("mean-reversion", {"min_edge": 0.02, "entry_z": 2})
        world = await play(recording, strategy)
        result = await settled(recording, world)
        assert world.trader.failures == {}
        assert all(fill.role is Role.TAKER for fill in world.store.fills.values())
        cash = world.venue.exchange.balance("ours").cash_e6
        assert result.pnl_e6 == cash - 500 * USD
        fills += result.fills
        pnl_e6 += result.pnl_e6
    assert fills >= 2


async def test_two_runs_with_indicators_are_the_same_order_for_order():
    runs = []
    for _ in range(2):
        strategy = library.create("mean-reversion", {"min_edge": 0.02, "entry_z": 2})
        world = await play(RECORDINGS[0], strategy)
        result = await settled(RECORDINGS[0], world)
        runs.append(([(r.intent_id, r.price_e4) for r in world.venue.submitted], result))
    assert runs[0] == runs[1]
