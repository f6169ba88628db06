"""How declared indicators are fed: sampling periods, silence, gaps, restarts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traders.world import Scripted, World

from engine.indicators import SILENCE_NS, Indicators
from models.errors import BadValue
from models.events import Channel, FeedState
from models.markets import Side
from models.units import SECOND_NS, SHARE, SPOT_USD
from strategies.features import (
    Atr,
    Bollinger,
    Ema,
    Feature,
    History,
    OrderFlowImbalance,
    Sma,
    Source,
    VolumeSpike,
)
from strategies.features.base import ValueIndicator

T0 = 1_800_000_000 * SECOND_NS


class Heard(ValueIndicator):
    """Keeps every sample."""

    STATE = ("heard",)
    CONFIG = ()

    def __init__(self):
        self.reset()

    def reset(self):
        self.heard = []
        self.pending = None
        self.value = 0.0

    def update(self, value):
        self.heard.append(value)
        return value


def at(seconds):
    return T0 + round(seconds * SECOND_NS)


def hearing(every_s=1.0, source=Source.SPOT):
    """Indicators with one that keeps its samples, and that one."""
    indicators = Indicators({"heard": Feature(Heard(), source, every_s)})
    market = indicators.market("m", "BTC")
    return indicators, market, market._all["heard"]


def spots(indicators, *ticks):
    for seconds, price in ticks:
        indicators.on_spot("BTC", at(seconds), price * SPOT_USD)


def test_a_sample_is_the_last_price_of_its_period():
    indicators, _, kept = hearing()
    spots(indicators, (0.2, 10), (0.7, 11), (1.1, 12))
    assert kept.heard == [11]
    spots(indicators, (1.9, 13), (2.0, 14))
    assert kept.heard == [11, 14], "a price at the very end of a period belongs to it and ends it"
    spots(indicators, (2.5, 15), (3.1, 16))
    assert kept.heard == [11, 14, 15]


def test_a_period_without_a_price_repeats_the_one_before():
    indicators, _, kept = hearing()
    spots(indicators, (1, 10), (4, 11))
    assert kept.heard == [10, 10, 10, 11]


def test_every_price_is_a_sample_when_asked_for():
    indicators, _, kept = hearing(every_s=0)
    spots(indicators, (1, 10), (1.001, 11), (4, 12))
    assert kept.heard == [10, 11, 12]


def test_late_and_repeated_prices_are_left_out():
    indicators, _, kept = hearing(every_s=0)
    spots(indicators, (1, 10), (1, 99), (0.5, 98), (2, 11), (3, 0), (3, -1))
    assert kept.heard == [10, 11]


def test_after_silence_it_starts_anew():
    indicators, _, kept = hearing()
    silence = SILENCE_NS / SECOND_NS
    spots(indicators, (1, 10), (1 + silence, 11))
    assert len(kept.heard) == 1 + silence
    spots(indicators, (2.5 + 2 * silence, 12), (3 + 2 * silence, 13))
    assert kept.heard == [13]


def test_long_periods_wait_longer_than_a_minute():
    indicators, _, kept = hearing(every_s=60)
    spots(indicators, (0, 10), (170, 11), (180, 12))
    assert kept.heard == [10, 10, 10, 12]


def test_what_passed_while_the_feed_was_lost_is_not_sampled():
    indicators, _, kept = hearing()
    spots(indicators, (1, 10), (2, 11))
    indicators.on_dark()
    spots(indicators, (10, 12), (11, 13))
    assert kept.heard == [10, 11, 12, 13]


@given(
    st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 10**6)), max_size=60),
    st.sampled_from([0.1, 0.5, 1.0, 2.5]),
)
def test_samples_are_the_price_as_of_each_whole_period(ticks, every_s):
    """Against the definition: at each period's end, the last price so far."""
    ticks = sorted(dict(ticks).items())
    indicators, _, kept = hearing(every_s)
    for ms, price in ticks:
        indicators.on_spot("BTC", T0 + ms * 1_000_000, price * SPOT_USD)
    expected = []
    if ticks:
        every_ms = round(every_s * 1000)
        end = -(-ticks[0][0] // every_ms) * every_ms
        while end <= ticks[-1][0]:
            expected.append(next(price for ms, price in reversed(ticks) if ms <= end))
            end += every_ms
    assert kept.heard == expected


def test_assets_share_their_indicators_and_markets_have_their_own():
    declared = {
        "spot": Feature(Sma(1), Source.SPOT, 0),
        "mid": Feature(Sma(1), Source.MID, 0),
        "micro": Feature(Sma(1), Source.MICRO, 0),
    }
    indicators = Indicators(declared)
    first, second = indicators.market("a", "BTC"), indicators.market("b", "BTC")
    other = indicators.market("c", "ETH")
    indicators.on_spot("BTC", at(1), 68_000 * SPOT_USD)
    first.on_book(at(1), 4000, 100 * SHARE, 5000, 300 * SHARE)
    assert [one.value("spot") for one in (first, second, other)] == [68_000, 68_000, None]
    assert [one.value("mid") for one in (first, second)] == [0.45, None]
    assert first.value("micro") == pytest.approx(0.425)


def test_book_messages_that_change_nothing_at_the_top_are_no_samples():
    _, market, kept = hearing(every_s=0, source=Source.MID)
    for seconds in (1, 2, 3):
        market.on_book(at(seconds), 4000, SHARE, 5000, SHARE)
    market.on_book(at(4), 4000, SHARE, 5000, 2 * SHARE)
    assert kept.heard == [0.45, 0.45]
    market.on_dark()
    market.on_book(at(5), 4000, SHARE, 5000, 2 * SHARE)
    assert len(kept.heard) == 3


def test_order_flow_counts_every_change_within_a_period_but_none_across_a_gap():
    flow = Feature(OrderFlowImbalance(2), Source.BOOK, 1.0)
    market = Indicators({"flow": flow}).market("m", "BTC")

    def book(seconds, bid_size, ask_size):
        market.on_book(at(seconds), 4000, bid_size * SHARE, 5000, ask_size * SHARE)

    book(0.1, 100, 100)
    book(0.2, 130, 100)
    book(0.3, 130, 90)
    assert market.value("flow") is None
    book(1.5, 100, 90)
    book(2.1, 100, 91)
    assert market.value("flow") == pytest.approx((30 + 10) + (-30))
    market.on_dark()
    book(5.1, 900, 91)
    book(6.1, 905, 91)
    book(7.1, 905, 90)
    assert market.value("flow") == pytest.approx(-30 + 5), "the jump to 900 was not seen happen"


def test_volume_is_summed_by_period_and_books_let_its_time_pass():
    spike = Feature(VolumeSpike(2), Source.VOLUME, 1.0)
    market = Indicators({"spike": spike}).market("m", "BTC")
    market.on_trade(at(0.5), 6 * SHARE)
    market.on_trade(at(0.9), 4 * SHARE)
    market.on_book(at(2.5), 4000, SHARE, 5000, SHARE)
    assert market.value("spike") is None
    market.on_trade(at(2.7), 25 * SHARE)
    market.on_book(at(3.5), 4000, SHARE, 5000, SHARE)
    assert market.value("spike") == pytest.approx(25 / ((10 + 0) / 2))


def test_bars_are_made_of_the_prices_of_a_period():
    market = (indicators := Indicators({"atr": Feature(Atr(1))})).market("m", "BTC")
    spots(indicators, (0.5, 100), (1.2, 104), (1.4, 99), (1.6, 101), (2.1, 101))
    assert market.value("atr") == pytest.approx(5)
    spots(indicators, (4.5, 101))
    assert market.value("atr") == 0, "no price, no range"


def test_parts_and_windows_are_read_by_name():
    declared = {"bands": Feature(Bollinger(2, 1.0)), "prices": Feature(History(3))}
    market = (indicators := Indicators(declared)).market("m", "BTC")
    assert market.value("bands", "upper") is None
    spots(indicators, *((second, 10 + second) for second in range(1, 6)))
    assert market.value("bands", "upper") == pytest.approx(15)
    assert market.value("bands", "lower") == pytest.approx(14)
    times, prices = market.window("prices", at(4), at(9))
    assert (times.tolist(), prices.tolist()) == ([at(4), at(5)], [14, 15])
    times, prices = market.window("prices", at(0), at(9))
    assert prices.tolist() == [13, 14, 15], "only what was declared is kept"
    for ask, part in [
        (lambda: market.value("bnds"), "'bnds' is not declared; there are: bands, prices"),
        (lambda: market.value("bands", "uper"), "no 'uper'; value, upper, lower"),
        (lambda: market.window("bands", 0, 1), "declare a History"),
    ]:
        with pytest.raises(BadValue, match=part):
            ask()


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: Feature(Ema, Source.SPOT), "is not an indicator"),
        (lambda: Feature(Ema(3), Source.VOLUME), "can't be of 'volume'; it takes micro, mid, spot"),
        (lambda: Feature(OrderFlowImbalance(3)), "can't be of 'spot'; it takes book"),
        (lambda: Feature(Ema(3), every_s=0.01), "every_s=0.01"),
        (lambda: Feature(Ema(3), every_s=float("nan")), "every_s=nan"),
        (lambda: Indicators({"fast": Ema(3)}), "'fast' is Ema.*declare a Feature"),
        (lambda: History(10_001), "period=10001"),
    ],
)
def test_a_wrong_declaration_is_one_clear_error(make, part):
    with pytest.raises(BadValue, match=part):
        make()


def test_a_restart_is_a_gap_and_no_more():
    declared = {
        "fast": Feature(Ema(3)),
        "mids": Feature(History(4), Source.MID),
        "flow": Feature(OrderFlowImbalance(1), Source.BOOK, 0),
    }
    before = Indicators(declared)
    market = before.market("m", "BTC")
    spots(before, *((second, 10 * second) for second in range(1, 6)))
    for second in range(1, 6):
        market.on_book(at(second), 4000 + second * 100, SHARE, 5000, SHARE)
    carried = json.loads(json.dumps(before.snapshot({"m": market}), allow_nan=False))
    after = Indicators(declared)
    assert after.restore(carried) == []
    again = after.market("m", "BTC")
    assert again.value("fast") == market.value("fast")
    assert again.window("mids", 0, at(9))[1].tolist() == market.window("mids", 0, at(9))[1].tolist()
    again.on_book(at(8), 4000, SHARE, 5000, SHARE)
    assert again.value("flow") == market.value("flow"), "what happened meanwhile is not known"


def test_other_parameters_start_anew_and_say_so():
    def declared(period):
        return {"fast": Feature(Ema(period)), "slow": Feature(Ema(9))}

    before = Indicators(declared(3))
    spots(before, (1, 10), (2, 11))
    after = Indicators(declared(4))
    (fault,) = after.restore(before.snapshot({}))
    assert "'fast' starts anew: was Ema(period=3), is Ema(period=4) now" in fault
    for nonsense in (7, {"BTC": 3}, {"BTC": {"indicators": {"fast": 1}}}):
        assert Indicators(declared(3)).restore({"assets": nonsense})


# --- in a trader ----------------------------------------------------------------------------


class Declaring(Scripted):
    def indicators(self):
        return {
            "spot": Feature(Sma(3)),
            "prices": Feature(History(100)),
            "mids": Feature(History(100), Source.MID),
            "volume": Feature(VolumeSpike(1), Source.VOLUME, every_s=0),
        }


async def test_a_strategy_reads_what_it_declared():
    seen = []
    strategy = Declaring(on_tick=lambda view: seen.append((view.now_ns, view.indicator("spot"))))
    world = World(strategy)
    await world.open()
    for price in (68_000.0, 68_003.0, 68_006.0):
        await world.run(1, spot=price)
    for size in (10, 40):
        world.venue.take(world.market, world.market.up_token, Side.BUY, 5000, size * SHARE)
        await world.run(1, spot=68_006.0)
    values = [value for _, value in seen]
    assert values[0] is None, "not warm"
    assert 68_003.0 in values
    view = world.trader._data.states["0xm0"].view
    times, mids = view.window("mids", 60)
    assert set(mids.tolist()) == {0.495}
    assert times[-1] <= view.now_ns
    times, prices = view.spot_window(60)
    assert prices[-1] == 68_006 * SPOT_USD
    assert times[-1] <= view.now_ns
    assert view.indicator("volume") == 4
    await world.close()


async def test_indicators_survive_a_session():
    world = World(Declaring())
    await world.open()
    await world.run(5, spot=68_010.0)
    before = world.trader._data.states["0xm0"].view
    kept = before.indicator("spot"), before.window("mids", 60)[1].tolist()
    await world.close()
    world.boot(Declaring())
    await world.start()
    world.spawn(world.trader.run_window(world.market))
    await world.clock.drain()
    view = world.trader._data.states["0xm0"].view
    spot, mids = view.indicator("spot"), view.window("mids", 60)[1].tolist()
    assert (spot, mids[:1]) == kept
    assert mids == [0.495] * 6, "the same book after a short break: it stood still all the time"
    await world.close()


async def test_a_strategy_that_declares_nothing_costs_nothing_and_may_ask_for_nothing():
    world = World(Scripted())
    await world.open()
    await world.run(2)
    state = world.trader._data.states["0xm0"]
    assert not state.hears
    assert not world.trader._data.indicators.hears_spot
    assert "indicators" not in world.trader.checkpoint()
    with pytest.raises(BadValue, match="there are: none"):
        state.view.indicator("fast")
    await world.close()


async def test_lost_feeds_are_gaps():
    world = World(Declaring())
    await world.open()
    await world.run(4)
    view = world.trader._data.states["0xm0"].view
    lost_ns = world.clock.now_ns()
    for channel in (Channel.MARKET, Channel.SPOT):
        world.venue.status(channel, FeedState.DOWN)
    await world.run(10, spot=None)
    back_ns = world.clock.now_ns()
    for channel in (Channel.MARKET, Channel.SPOT):
        world.venue.status(channel, FeedState.UP)
    world.venue.snapshot(world.market)
    await world.run(1)
    world.quote(4800, 5000)
    await world.run(1)
    world.quote(4900, 5000)
    await world.run(2)
    for name in ("mids", "prices"):
        times, _ = view.window(name, 60)
        assert times[0] <= lost_ns
        assert times[-1] > back_ns
        dark = (times > lost_ns) & (times < back_ns)
        assert not dark.any(), "nothing was made up for the dark"
    await world.close()
