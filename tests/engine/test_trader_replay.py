"""Both strategies trade recorded real books through the real matching core."""

from dataclasses import dataclass, field
from itertools import groupby

import pytest
from traders.recording import Recording, recordings
from traders.world import START_S, World, make_market

from models.journal import WindowResult
from models.markets import Outcome
from models.orders import Role
from models.units import MILLISECOND_NS, SECOND_NS, SHARE, SPOT_USD, USD
from strategies import library

RECORDINGS = recordings()


@dataclass
class Played:
    world: World
    result: WindowResult
    fills: list = field(default_factory=list)


async def play(recording: Recording, name: str, **parameters) -> Played:
    """Trade one recorded window from its first second to its settlement."""
    start_ns = recording.start_s * SECOND_NS
    market = make_market(0, start_ns=start_ns, end_ns=recording.end_s * SECOND_NS)
    strategy = library.create(name, parameters)
    world = World(strategy, market, at_s=recording.start_s - START_S - 1, drain_turns=25)
    world.venue.strikes[market.condition_id] = round(recording.strike * SPOT_USD)
    await world.start()
    window = world.spawn(world.trader.run_window(market))
    last_trade, spot = None, None
    for second in recording.seconds:
        await world.clock.advance_to(second.ts_ms * MILLISECOND_NS)
        if second.spot == second.spot:
            spot = second.spot
            world.venue.spot(spot)
        if second.trade is not None and second.trade != last_trade:
            last_trade = second.trade
            side, price, size = second.trade
            world.venue.take(market, market.up_token, side, price, size)
        world.venue.impose(market, second.bids, second.asks)
        await world.clock.drain()
    await world.clock.advance_to(market.end_ns)
    assert window.done()
    assert world.trader._data.states[market.condition_id].view.strike is not None
    winner = Outcome.UP if spot >= recording.strike else Outcome.DOWN
    settling = world.spawn(world.trader.settle(market))
    world.venue.resolve(market, winner)
    await world.clock.advance(10)
    result = settling.result()
    assert world.trader.portfolio.cash_e6 == world.venue.exchange.balance("ours").cash_e6
    await world.close()
    fills = sorted(world.store.fills.values(), key=lambda fill: (fill.matched_ns, fill.trade_id))
    return Played(world, result, fills)


def test_the_recording_has_whole_windows():
    assert len(RECORDINGS) >= 3


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda r: str(r.start_s))
async def test_the_market_maker_fills_on_both_sides_within_minutes(recording):
    played = await play(
        recording, "market-maker", half_spread_ticks=1, size_shares=20, max_inventory_shares=100
    )
    fills, world = played.fills, played.world
    first_s = fills[0].matched_ns / SECOND_NS - recording.start_s
    assert first_s < 120, "a newcomer sees fills in the first minutes"
    assert len(fills) >= 10
    bids = {fill.order_id for fill in fills if (fill.outcome is Outcome.UP) == (fill.side == "BUY")}
    assert bids
    assert {fill.order_id for fill in fills} - bids, "fills on both sides"
    assert all(fill.role is Role.MAKER and fill.fee_e6 == 0 for fill in fills)
    assert played.result.fills == len(fills)
    assert played.result.pnl_e6 == world.venue.exchange.balance("ours").cash_e6 - 500 * USD
    assert world.trader.failures == {}
    net = 0
    for _, at_once in groupby(fills, key=lambda fill: fill.matched_ns):
        net += sum(
            fill.size_e6 if (fill.outcome is Outcome.UP) == (fill.side == "BUY") else -fill.size_e6
            for fill in at_once
        )
        assert abs(net) <= 100 * SHARE


async def test_two_runs_over_the_same_recording_are_the_same():
    first = await play(RECORDINGS[0], "market-maker")
    second = await play(RECORDINGS[0], "market-maker")

    def orders(played: Played) -> list:
        return [
            (r.intent_id, r.outcome, r.side, r.price_e4, r.size_e6)
            for r in played.world.venue.submitted
        ]

    assert orders(first) == orders(second)
    assert first.result == second.result


async def test_momentum_takes_the_side_of_the_recorded_move():
    """Half a percent within five minutes does not happen in the recording; a tenth of it does."""
    entered = 0
    for recording in RECORDINGS:
        played = await play(recording, "momentum", threshold_pct=0.05, lookback_s=60)
        for fill in played.fills:
            assert fill.side == "BUY"
            assert fill.role is Role.TAKER
        spent = played.result.bought_e6 + played.result.fees_e6
        assert spent <= 20 * USD
        entered += bool(played.fills)
        for intent in played.world.signals("intent"):
            assert ("+" in intent["reason"]) == (intent["outcome"] == "Up")
    assert entered >= 1


async def test_momentum_stays_out_without_its_move():
    played = await play(RECORDINGS[0], "momentum")
    assert played.fills == []
    assert played.world.venue.submitted == []
