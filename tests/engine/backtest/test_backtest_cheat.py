"""Knowing the future would pay, and a strategy that looks for it everywhere does not find it."""

import numpy as np
import pytest
from tape_kit import Scripted, TapeWriter, agent, column, play
from test_backtest_sight import reachable

from models.markets import Outcome
from models.tape import Row, Tape
from models.units import SHARE
from strategies.base import Buy

WINDOWS = 2
WINNERS = (True, False)


def coin_tape() -> Tape:
    """Windows at 49/50 whose winners nothing tells before they are resolved."""
    from tape_kit import make_market

    writer = TapeWriter(*(make_market(number) for number in range(WINDOWS)))
    writer.spots(-1, 900 * WINDOWS + 30)
    for number, up in enumerate(WINNERS):
        for second in range(0, 890, 30):
            writer.book(900 * number + second, {49: 100}, {50: 100}, number)
        writer.resolve(900 * (number + 1) + 2, up, number)
    return writer.tape()


class Cheat:
    """Buys the winner it finds in a tape, once a window."""

    def __init__(self, tapes) -> None:
        self.tapes = tapes
        self.bought: set[str] = set()
        self.looked: set[tuple[str, int]] = set()

    def __call__(self, view):
        market = view.market
        moment = market.condition_id, int(view.elapsed_s // 300)
        if moment in self.looked or market.condition_id in self.bought or view.elapsed_s < 5:
            return None
        self.looked.add(moment)
        for tape in self.tapes(view):
            winner = tape.winners().get(market.condition_id)
            if winner is not None:
                self.bought.add(market.condition_id)
                return Buy(winner, price_e4=5100, size_e6=20 * SHARE)
        return None


def winners_in_arrays(view):
    """Tapes, and whatever array holds more resolutions than have happened."""
    for one in reachable(view):
        if isinstance(one, Tape):
            yield one
        if isinstance(one, np.ndarray) and one.dtype == np.uint8 and (one == Row.RESOLVED).any():
            raise AssertionError("a column of kinds is in sight")


def test_knowing_the_winners_would_pay():
    tape = coin_tape()
    result = play(tape, agent(Scripted(on_tick=Cheat(lambda view: [tape]))))
    assert column(result, "windows", "winner") == [0 if up else 1 for up in WINNERS]
    assert all(pnl > 0 for pnl in column(result, "windows", "pnl_e6"))


@pytest.mark.parametrize("cadence_ms", [0, 1000])
def test_a_strategy_that_searches_its_view_for_the_winners_fails(cadence_ms):
    tape = coin_tape()
    cheat = Cheat(winners_in_arrays)
    strategy = Scripted(cadence_ms, on_tick=cheat)
    result = play(tape, agent(strategy))
    assert len(cheat.looked) == 3 * WINDOWS
    assert result.failures == {}
    assert column(result, "orders", "order_id") == []
    assert cheat.bought == set()


def test_an_honest_guess_wins_some_and_loses_some():
    guess = Scripted(on_start=lambda view: None, on_tick=lambda view: _once(view, guess))
    result = play(coin_tape(), agent(guess))
    pnl = column(result, "windows", "pnl_e6")
    assert [one > 0 for one in pnl] == list(WINNERS)


def _once(view, strategy):
    if view.position_e6(Outcome.UP) or view.open_orders or view.elapsed_s > 60:
        return None
    return Buy(Outcome.UP, price_e4=5100, size_e6=20 * SHARE)
