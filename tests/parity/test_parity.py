"""The promise: a session recorded live and played again decides the same, order for order."""

from pathlib import Path

import pytest

from engine.recording.closeness import live_parts
from engine.recording.refill import sendings
from store.recording import read_recording
from strategies import library
from tasks.parity import Parity, faults, parity_of, table
from tests.parity.sessions import LEAST, PARAMETERS

pytestmark = pytest.mark.timeout(600)

NAMES = [f"{strategy}-{place}" for strategy in PARAMETERS for place in ("replay", "model")]


@pytest.fixture(scope="module")
def found(recordings: dict[str, Path]) -> dict[str, Parity]:
    played = {name: parity_of(recordings[name]) for name in NAMES}
    for place in ("replay", "model"):
        print(f"\n{place} liquidity")
        print(table([one for name, one in played.items() if name.endswith(place)]))
    return played


def test_every_shipped_strategy_is_recorded(recordings):
    assert set(PARAMETERS) == set(library.STRATEGIES)
    assert {name.rsplit("-", 1)[0] for name in NAMES} == set(library.STRATEGIES)
    assert set(NAMES) <= set(recordings)


@pytest.mark.parametrize("strategy", PARAMETERS)
def test_every_strategy_really_traded(found, strategy):
    """Over recorded books at least; the model's book may be one-sided for a whole run."""
    one = found[f"{strategy}-replay"]
    assert one.exactness.orders.live > 0
    assert one.closeness.live_fills > 0
    assert found[f"{strategy}-model"].exactness.calls.live > 50


@pytest.mark.parametrize("name", NAMES)
def test_decisions_and_orders_are_identical(found, name):
    """Hooks with their times and intents, decisions with what was seen, orders with everything."""
    one = found[name]
    assert one.exactness.exact, "\n".join(faults(one))


@pytest.mark.parametrize("name", NAMES)
def test_fills_are_what_latency_explains(found, name):
    """Sizes and prices share by share, in time within the slowest order and a book's interval."""
    near = found[name].closeness
    assert not near.beyond, "\n".join(faults(found[name]))
    assert near.worst_ns <= near.bound.total_ns
    assert near.alike + len(near.timed) + len(near.queued) >= near.orders


def test_most_orders_fill_the_same_without_any_explanation(found, recordings):
    """Of the quicker half: an order that was long on its way, on a busy machine, met another
    book."""
    ways = []
    for name, one in found.items():
        entries = list(read_recording(recordings[name]))
        explained = {*one.closeness.timed, *one.closeness.queued}
        filled = live_parts(entries)
        ways += [
            (sent.answered_ns - sent.sent_ns, sent.order.order_id in explained)
            for sent in sendings(entries)
            if sent.order is not None and sent.order.order_id in filled
        ]
    quick = sorted(ways)[: (len(ways) + 1) // 2]
    assert len(ways) >= sum(LEAST.values())
    assert sum(not explained for _, explained in quick) >= 0.75 * len(quick)


def test_a_strategy_that_looks_at_a_clock_of_its_own_is_found_out(recordings):
    from tests.parity.wanton import wanton

    one = parity_of(recordings["wanton"], wanton)
    assert one.exactness.calls.live > 10
    assert not one.exactness.exact
    assert not one.exactness.decisions.exact
    assert not one.holds
    assert "because" in faults(one)[0]
