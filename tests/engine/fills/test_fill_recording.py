"""A naive maker on the recorded books: the three results, in order and far apart."""

from collections import Counter

import pytest

from engine.fills import CENTRAL, OPTIMISTIC, PESSIMISTIC, FillTriple, OurOrder, print_of
from models.fills import FillModel
from models.markets import FeeSchedule, Market, Outcome, Side
from models.settings import Settings
from models.units import MILLISECOND_NS, SHARE, USD
from venue.simulator.config import RECORDING
from venue.simulator.recording import load_recording

NAMES = (PESSIMISTIC, CENTRAL, OPTIMISTIC)
MARKET = Market("m", "m", "?", "BTC", "15m", "u", "d", 0, 900, 100, 5 * SHARE, FeeSchedule())
SHARES = 20


@pytest.fixture(scope="module")
def windows():
    return load_recording(Settings().floor_data_dir / RECORDING).windows


def quote(triple, rows):
    """Join the best bid of Up and of Down every ten seconds, withdrawing the quotes before.

    Yields the fills of every step, by model.
    """
    live: list[str] = []
    count = 0
    for number, row in enumerate(rows):
        now = row.at_ms * MILLISECOND_NS
        prints = [print_of(t.outcome, t.side, t.price_e4, t.size_e6) for t in row.takers]
        yield prints, triple.step("m", prints, row.bids, row.asks, now)
        if number % 10 or not row.bids or not row.asks:
            continue
        for order_id in live:
            triple.cancel("m", order_id, now)
        live.clear()
        quotes = ((Outcome.UP, row.bids[0][0]), (Outcome.DOWN, 10_000 - row.asks[0][0]))
        for outcome, price in quotes:
            count += 1
            live.append(f"o{count}")
            order = OurOrder(live[-1], "a", "m", outcome, Side.BUY, price, SHARES * SHARE)
            yield [], triple.place(order, now)


@pytest.mark.parametrize("central", [FillModel.LOG, FillModel.POWER])
def test_the_bounds_hold_on_recorded_books(windows, central):
    spread = Counter()
    for rows in windows:
        triple = FillTriple(central)
        triple.open_account("a", 10_000 * USD)
        triple.list_market(MARKET, view=5)
        filled = {name: Counter() for name in NAMES}
        for _, fills in quote(triple, rows):
            for name in NAMES:
                for fill in fills[name]:
                    filled[name][fill.order_id] += fill.size_e6
        for order_id in filled[OPTIMISTIC] | filled[PESSIMISTIC] | filled[CENTRAL]:
            back, mid, front = (filled[name][order_id] for name in NAMES)
            assert back <= mid <= front <= SHARES * SHARE
        spread.update({name: filled[name].total() for name in NAMES})
        last = rows[-1].bids
        triple.settle("m", Outcome.UP if last and last[0][0] > 5_000 else Outcome.DOWN, 10**15)
        results = triple.results("a")
        for name, result in results.items():
            assert result.open_e6 == 0
            assert result.filled_e6 == filled[name].total()
    assert 0 < spread[PESSIMISTIC] < spread[CENTRAL] < spread[OPTIMISTIC]
