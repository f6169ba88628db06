"""Bars of a tape: what they show, and that the screen over them enters where the strategy does."""

from functools import cache

import numpy as np
import pytest

from engine.sweep.bars import bars_of
from engine.sweep.screen import Bars, screen_momentum
from models.errors import BadValue
from models.settings import Settings
from models.tape import Row, Tape
from models.units import DAY_NS, SECOND_NS, SPOT_USD, USD
from risk.digital import up_probabilities
from risk.limits import Limits
from store.tape.readers.bars import read_bars
from strategies.momentum import MomentumParams
from tests.engine.backtest.tape_kit import TapeWriter, agent, make_market, play

MINUTES = "spot_binance_1m/BTCUSDT_1m_2026-03-23_2026-04-22.parquet"
WIDE = Limits(100_000 * USD, 1_000 * USD, 1_000 * USD, 90_000 * USD, 5)
LONG_AGO_S = 45.0
"""Minute bars tell a price every 20 seconds; older than this nothing is traded."""


def test_a_bar_shows_what_was_known_at_its_moment() -> None:
    tape = (
        TapeWriter(make_market(0), make_market(1))
        .spots(0, 20, 60_000)
        .book(0, {40: 10}, {60: 10})
        .level(3.5, 0, 45, 10)
        .level(5, 0, 45, 0)
        .level(6, 1, 60, 0)
        .book(895, {10: 1}, {12: 1}, market=1)
        .spots(880, 910, 61_000)
        .resolve(902, up=False)
        .tape()
    )
    bars = bars_of(tape, "BTC", "15m", max_book_age_s=10)
    assert bars.spot[0] == 60_000 * SPOT_USD
    bids = bars.up_bid[:9].tolist()
    assert bids == [0.40] * 4 + [0.45] + [0.40] * 4
    assert bars.up_ask[5] == 0.60
    assert np.isnan(bars.up_ask[6])
    assert np.isnan(bars.up_bid[17])  # older than ten seconds
    assert np.isnan(bars.spot[60])  # the price is older than half a minute
    assert bars.window[896] == 0
    assert bars.window[897] == -1  # over for the strategy three seconds before its end
    assert np.isnan(bars.up_bid[899])
    assert (bars.window[900], bars.up_bid[900]) == (1, 0.10)
    assert bars.left_s[900] == 900
    assert bars.up_won.tolist() == [0, -1]
    assert bars.fee_up[0] == pytest.approx(0.07 * 0.6 * 0.4)
    assert bars.fee_down[0] == pytest.approx(0.07 * 0.6 * 0.4)


def test_a_dark_feed_shows_no_book_until_it_is_told_anew() -> None:
    writer = TapeWriter().spots(0, 10).book(0, {40: 10}, {60: 10}).add(2, Row.DARK)
    bars = bars_of(writer.level(3, 0, 45, 10).book(5, {41: 1}, {59: 1}).tape(), "BTC", "15m")
    assert np.isnan(bars.up_bid[:7]).tolist() == [False, False, True, True, True, False, False]


def test_what_can_not_be_sampled_is_named() -> None:
    tape = TapeWriter().spots(0, 5).tape()
    with pytest.raises(BadValue, match="no ETH 15m window"):
        bars_of(tape, "ETH", "15m")
    with pytest.raises(BadValue, match="every_s=0"):
        bars_of(tape, "BTC", "15m", 0)


@cache
def half_a_day() -> Tape:
    """Modelled books around recorded minutes."""
    path = Settings().floor_data_dir / MINUTES
    start_ns = 1_774_600_000 * SECOND_NS // DAY_NS * DAY_NS + DAY_NS // 2
    return read_bars(path, up_probabilities, start_ns=start_ns, end_ns=start_ns + DAY_NS // 4)


@pytest.mark.parametrize(
    ("lookback_s", "threshold_pct", "max_price"), [(60, 0.08, 0.9), (300, 0.15, 0.75)]
)
def test_the_screen_enters_where_the_strategy_does(
    lookback_s: float, threshold_pct: float, max_price: float
) -> None:
    """Window by window and direction by direction, over modelled books on recorded minutes."""
    tape = half_a_day()
    parameters = {
        "lookback_s": lookback_s, "threshold_pct": threshold_pct, "max_price": max_price,
        "budget_usd": 20.0,
    }  # fmt: skip
    result = play(tape, agent("momentum", limits=WIDE, **parameters), max_spot_age_s=LONG_AGO_S)
    assert not result.failures
    orders = result.tables["orders"]
    assert set(orders["side"].tolist()) == {0}
    real = {
        int(market): int(outcome)
        for market, outcome in zip(orders["market"], orders["outcome"], strict=True)
    }
    bars = bars_of(tape, "BTC", "15m", max_spot_age_s=LONG_AGO_S)
    screened = entries(bars, MomentumParams(**parameters))
    assert len(real) > 5
    assert screened == real
    found = screen_momentum(bars, [MomentumParams(**parameters)])
    assert found.entries[0] == len(real)
    windows = result.tables["windows"]
    assert found.wins[0] == int((windows["payout_e6"] > 0).sum())


def entries(bars: Bars, params: MomentumParams) -> dict[int, int]:
    """Window to outcome (0 Up, 1 Down), the screen asked window by window and side by side."""
    found = {}
    for window in range(len(bars.up_won)):
        for outcome, won in ((0, 1), (1, 0)):
            only = np.where(bars.window == window, window, -1)
            one = Bars(
                bars.every_s, bars.spot, bars.up_bid, bars.up_ask, only, bars.left_s,
                bars.fee_up, bars.fee_down, np.full_like(bars.up_won, won),
            )  # fmt: skip
            # It wins exactly when the side it takes is the one that is said to win.
            if screen_momentum(one, [params], threads=1).wins[0]:
                found[window] = outcome
    return found
