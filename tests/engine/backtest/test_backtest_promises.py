"""Conditional orders, executions and indicators work in a backtest as they do live."""

import pytest
from tape_kit import Scripted, TapeWriter, agent, column, once, play

from models.execution import Algo
from models.markets import Outcome, Side
from models.tape import Row
from models.units import SHARE
from strategies.base import Buy, Execute
from strategies.features import Feature, Source
from strategies.features.averages import Sma


def falling() -> TapeWriter:
    tape = TapeWriter().spots(-1, 120)
    for second in range(120):
        bid = 49 if second < 30 else 40
        tape.book(second, {bid: 300}, {bid + 1: 300})
    return tape


def test_a_stop_loss_sells_once_when_the_bid_falls():
    buys = Scripted(
        on_tick=once(Buy(Outcome.UP, price_e4=5000, size_e6=20 * SHARE, stop_loss_e4=4500))
    )
    result = play(falling().tape(), agent(buys))
    assert column(result, "fills", "side") == [0, 1]
    assert column(result, "fills", "size_e6") == [20 * SHARE, 20 * SHARE]
    sold_ns = column(result, "fills", "time_ns")[1]
    assert (sold_ns - result.markets[0].start_ns) / 1e9 == 30.0
    assert "condition" in column(result, "decisions", "kind")


def test_a_stop_loss_goes_on_guarding_when_its_strategy_has_failed():
    def buy_then_fail(view):
        if view.position_e6(Outcome.UP) and view.elapsed_s > 10:
            raise RuntimeError("no idea")
        return first(view)

    first = once(Buy(Outcome.UP, price_e4=5000, size_e6=20 * SHARE, stop_loss_e4=4500))
    result = play(falling().tape(), agent(Scripted(on_tick=buy_then_fail)))
    assert "no idea" in result.failures["anna"]
    assert column(result, "fills", "side") == [0, 1]


def test_an_execution_buys_in_slices_and_no_more_than_was_asked():
    wish = Execute(Algo.TWAP, Outcome.UP, Side.BUY, 40 * SHARE, duration_s=20, slices=4)
    result = play(falling().tape(), agent(Scripted(on_tick=once(wish))))
    sizes = column(result, "fills", "size_e6")
    assert len(sizes) >= 4
    assert 39 * SHARE <= sum(sizes) <= 40 * SHARE


class Averaging(Scripted):
    def indicators(self):
        return {
            "mid": Feature(Sma(3), Source.MID, every_s=1),
            "spot": Feature(Sma(3), Source.SPOT, every_s=1),
        }


def test_declared_indicators_are_fed():
    seen: list[tuple[float | None, float | None]] = []
    watch = Averaging(
        on_timer=lambda view: seen.append((view.indicator("mid"), view.indicator("spot")))
    )
    play(falling().tape(), agent(watch))
    assert seen[25] == pytest.approx((0.495, 60_000.0), rel=1e-12)
    assert seen[60] == pytest.approx((0.405, 60_000.0), rel=1e-12)


def test_a_dark_feed_leaves_a_gap_in_the_indicators():
    seen: dict[float, float | None] = {}
    watch = Averaging(on_timer=lambda view: seen.update({view.elapsed_s: view.indicator("mid")}))
    play(falling().add(10.5, Row.DARK).tape(), agent(watch))
    assert seen[9.0] is not None
    assert seen[20.0] is not None
