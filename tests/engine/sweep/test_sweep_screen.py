import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sweep.screen import Bars, screen_momentum
from models.errors import BadValue
from strategies.momentum import MomentumParams

PER_WINDOW = 15


def bars_of(seed: int, windows: int, every_s: float = 60.0) -> Bars:
    rng = np.random.default_rng(seed)
    rows = windows * PER_WINDOW
    bid = np.round(rng.uniform(0.05, 0.9, rows), 2)
    ask = np.round(bid + rng.choice([0.01, 0.02, 0.08], rows), 2)
    bid[rng.random(rows) < 0.05] = np.nan
    at = np.arange(rows)
    return Bars(
        every_s=every_s,
        spot=np.round(60_000 * np.exp(np.cumsum(rng.normal(0, 0.002, rows))), 2),
        up_bid=bid,
        up_ask=ask,
        window=np.where(rng.random(rows) < 0.05, -1, at // PER_WINDOW).astype(np.int64),
        left_s=(PER_WINDOW - at % PER_WINDOW) * every_s,
        fee_up=0.07 * ask * (1 - ask),
        fee_down=0.07 * bid * (1 - bid),
        up_won=rng.integers(-1, 2, windows).astype(np.int8),
    )


def slowly(bars: Bars, params: MomentumParams) -> tuple[int, int, list[float]]:
    """Say the rule again, window by window."""
    back = round(params.lookback_s / bars.every_s)
    entered: set[int] = set()
    results: list[float] = []
    wins = 0
    for row in range(back, len(bars.spot)):
        move = bars.spot[row] / bars.spot[row - back] - 1.0
        window = int(bars.window[row])
        bid, ask = bars.up_bid[row], bars.up_ask[row]
        if abs(move) * 100 < params.threshold_pct or window < 0 or window in entered:
            continue
        price = ask if move > 0 else 1 - bid
        if bars.left_s[row] < params.min_time_left_s or np.isnan(bid) or np.isnan(ask):
            continue
        if ask - bid > params.max_spread + 1e-12 or price > params.max_price + 1e-12:
            continue
        entered.add(window)
        if bars.up_won[window] < 0:
            continue
        fee = bars.fee_up[row] if move > 0 else bars.fee_down[row]
        hit = (bars.up_won[window] == 1) == (move > 0)
        wins += hit
        results.append(hit / (price + fee) - 1)
    return len(results), wins, results


@given(
    seed=st.integers(0, 1000),
    windows=st.integers(1, 30),
    minutes=st.integers(1, 10),
    threshold=st.floats(0.05, 1.5),
    max_price=st.floats(0.3, 0.95),
    threads=st.integers(1, 3),
)
def test_the_screen_is_the_rule(
    seed: int, windows: int, minutes: int, threshold: float, max_price: float, threads: int
) -> None:
    bars = bars_of(seed, windows)
    sets = [
        MomentumParams(
            lookback_s=60 * back, threshold_pct=threshold, max_price=max_price, max_spread=0.05
        )
        for back in range(1, minutes + 1)
    ]
    found = screen_momentum(bars, sets, threads)
    for number, params in enumerate(sets):
        count, wins, results = slowly(bars, params)
        assert (found.entries[number], found.wins[number]) == (count, wins)
        assert found.pnl[number] == pytest.approx(sum(results), abs=1e-9)
        curve = np.concatenate([[0.0], np.cumsum(results)])
        worst = float(np.max(np.maximum.accumulate(curve) - curve))
        assert found.max_drawdown[number] == pytest.approx(worst, abs=1e-9)
        if count > 1 and np.std(results) > 1e-6:
            sharpe = np.mean(results) / np.std(results, ddof=1)
            assert found.sharpe[number] == pytest.approx(sharpe, rel=1e-6)


def test_the_best_come_first() -> None:
    sets = [MomentumParams(lookback_s=60 * back, threshold_pct=0.1) for back in range(1, 11)]
    found = screen_momentum(bars_of(3, 50), sets)
    best = found.best(3)
    assert len(best) == 3
    assert list(found.pnl[best]) == sorted(found.pnl, reverse=True)[:3]


def test_bars_that_do_not_fit_are_named() -> None:
    with pytest.raises(BadValue, match="lookback_s=90 is not a whole number of bars of 60 s"):
        screen_momentum(bars_of(1, 2), [MomentumParams(lookback_s=90)])
    good = bars_of(1, 2)
    with pytest.raises(BadValue, match="up_bid has 1 rows"):
        Bars(60, good.spot, good.up_bid[:1], good.up_ask, good.window, good.left_s,
             good.fee_up, good.fee_down, good.up_won)  # fmt: skip
    with pytest.raises(BadValue, match="window 1 has no entry"):
        Bars(60, good.spot, good.up_bid, good.up_ask, good.window, good.left_s,
             good.fee_up, good.fee_down, good.up_won[:1])  # fmt: skip
