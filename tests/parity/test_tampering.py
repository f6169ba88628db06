"""The comparison finds what was changed: a recording that is not what happened does not pass."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from engine.recording.closeness import bound_of, compare_fills, live_parts
from engine.recording.compare import Exactness, compare
from engine.recording.others import without_ours
from engine.recording.reading import market_data, markets_of
from engine.recording.refill import latency_of, refill, sendings
from engine.recording.rehearsal import rehearse
from models.errors import ConfigError
from models.events import BookChange, BookSnapshot, OrderUpdate, SpotTick, TradePrint, TradeUpdate
from models.fills import FillModel
from models.recording import Answered, Asked, Called, Entry, Fault, Noted, Record, Turn, Watched
from models.units import MILLISECOND_NS
from store.recording import read_recording
from store.tape import tape_from_events
from tasks.parity import parity_of

pytestmark = pytest.mark.timeout(600)

Change = Callable[[Entry], Entry | None]


@pytest.fixture(scope="module")
def entries(recordings: dict[str, Path]) -> list[Entry]:
    """The market maker's session: many orders, fills, cancels."""
    return list(read_recording(recordings["market-maker-replay"]))


def again(entries: list[Entry], change: Change = lambda entry: entry) -> Exactness:
    changed = [one for one in map(change, entries) if one is not None]
    tape = tape_from_events(market_data(changed), markets_of(changed))
    return compare(rehearse(lambda: changed, tape))


def test_the_recording_itself_passes(entries):
    assert again(entries).exact


def a_tick_higher(entry: Entry) -> Entry:
    if isinstance(entry, BookSnapshot):
        return msgspec.structs.replace(
            entry,
            bids=tuple((p + 100, s) for p, s in entry.bids),
            asks=tuple((p + 100, s) for p, s in entry.asks),
        )
    if isinstance(entry, BookChange):
        moved = tuple((side, p + 100, s) for side, p, s in entry.changes)
        return msgspec.structs.replace(entry, changes=moved)
    return entry


def without(kind: type[object]) -> Change:
    return lambda entry: None if isinstance(entry, kind) else entry


@pytest.mark.parametrize(
    "change",
    [a_tick_higher, without(BookChange), without(TradeUpdate), without(SpotTick)],
    ids=["books a tick higher", "no book changes", "no news of trades", "no spot"],
)
def test_decisions_differ_where_the_market_did(entries, change):
    found = again(entries, change)
    assert not found.decisions.exact
    assert found.decisions.alike < found.decisions.live
    assert "number" in found.decisions.first


def test_other_news_of_our_own_trades_change_decisions(entries):
    """Half as many shares in every fill: the inventory, and with it the quotes, are others."""

    def halved(entry: Entry) -> Entry:
        if not isinstance(entry, TradeUpdate):
            return entry
        legs = tuple(replace(leg, size_e6=leg.size_e6 // 2) for leg in entry.trade.legs)
        return msgspec.structs.replace(entry, trade=replace(entry.trade, legs=legs))

    assert not again(entries, halved).exact


@pytest.mark.parametrize(
    ("kind", "part"), [(Called, "calls"), (Noted, "decisions")], ids=["a call", "a decision"]
)
def test_one_thing_more_or_less_is_found(entries, kind, part):
    wanted = [one for one in entries if isinstance(one, kind) and _told(one)]
    missing = wanted[len(wanted) // 2]
    found = getattr(again(entries, lambda one: None if one is missing else one), part)
    assert not found.exact
    assert found.live == found.again - 1
    assert found.alike < found.live


def _told(one: Entry) -> bool:
    return isinstance(one, Called) or (isinstance(one, Noted) and one.kind == "quote")


def test_a_turn_left_out_is_found(entries):
    """When windows woke is part of the truth: without one wake its calls are missing."""
    places = [
        i for i, (one, following) in enumerate(pairwise(entries))
        if isinstance(one, Turn) and isinstance(following, Called)
        and following.hook in ("on_tick", "on_timer")
    ]  # fmt: skip
    left_out = places[len(places) // 2]
    some = entries[:left_out] + entries[left_out + 1 :]
    assert not again(some).exact


def test_orders_that_were_refused_are_followed_by_other_decisions(entries):
    """What the venue answered and told is taken from the recording, not assumed."""
    submits = {one.call for one in entries if isinstance(one, Asked) and one.what == "submit"}
    refusal = Fault("VenueRejected", "not enough balance", "balance")

    def refused(entry: Entry) -> Entry | None:
        if isinstance(entry, Answered) and entry.call in submits:
            return msgspec.structs.replace(entry, value=b"", fault=refusal)
        return None if isinstance(entry, OrderUpdate | TradeUpdate) else entry

    assert not again(entries, refused).exact


# --- fills ------------------------------------------------------------------------------------


def closeness(
    entries: list[Entry], late_ns: int = 0, keep: Callable[[object], bool] = lambda event: True
):
    """Compare fills, with orders sent later or a market from which something is left out."""

    def source() -> Iterable[Entry]:
        return entries

    others = sorted(without_ours(source), key=lambda event: event.recv_ns)
    market = tape_from_events(filter(keep, others), markets_of(entries), depth=5)
    sent = [
        replace(one, sent_ns=one.sent_ns + late_ns, answered_ns=one.answered_ns + late_ns)
        for one in sendings(entries)
    ]
    held_ns = 20 * MILLISECOND_NS
    models = [refill(sent, market, FillModel.BACK, there, held_ns) for there in (0.5, 0.0, 1.0)]
    return compare_fills(
        live_parts(entries), models[0], models[1:], lambda: ({}, {}), sent,
        bound_of(latency_of(sent), held_ns, others),
    )  # fmt: skip


def test_orders_that_leave_later_than_anything_explains_do_not_fill_as_live(entries):
    """However slow the machine was: a second beyond the longest way any order took."""
    slowest_ns = closeness(entries).bound.total_ns
    near = closeness(entries, late_ns=slowest_ns + 1_000 * MILLISECOND_NS)
    assert len(near.beyond) > near.orders / 4


def test_a_market_that_stands_still_does_not_fill_as_live(entries):
    near = closeness(entries, keep=lambda event: not isinstance(event, TradePrint | BookChange))
    assert near.beyond
    assert near.model_e6 < near.live_e6


def test_fills_are_compared_share_by_share(entries):
    parts = live_parts(entries)
    order_id, some = next((k, v) for k, v in parts.items() if v)
    more = {**parts, order_id: [*some, replace(some[-1], size_e6=10_001)]}
    sent = sendings(entries)
    others = list(without_ours(lambda: entries))
    bound = bound_of(latency_of(sent), 0, others)
    without_cancels = [one for one in sent if order_id not in one.cancels]
    near = compare_fills(more, {}, [], lambda: ({}, {}), without_cancels, bound)
    assert len(near.beyond) + len(near.timed) == len(more)
    assert any(order_id in text for text in near.beyond)


# --- recordings that are not whole ------------------------------------------------------------


def test_a_session_that_died_is_played_as_far_as_it_came(recordings, tmp_path):
    raw = recordings["market-maker-replay"].read_bytes()
    torn = tmp_path / "torn.rec"
    torn.write_bytes(raw[: len(raw) * 2 // 3])
    one = parity_of(torn)
    assert one.exactness.calls.exact
    assert one.exactness.orders.exact
    assert 0 < one.events < len(list(read_recording(recordings["market-maker-replay"])))


def test_wherever_a_session_dies_what_it_did_before_is_the_same(entries):
    """Also between a question and its answer, or a call and what came of it."""
    tape = tape_from_events(market_data(entries), markets_of(entries))
    first = next(i for i, one in enumerate(entries) if isinstance(one, Asked))
    for end in range(first, min(len(entries), first + 900), 37):
        some = entries[:end]
        found = compare(rehearse(lambda some=some: some, tape))
        assert found.exact, f"cut before record {end}: {found}"


def test_a_recording_without_its_beginning_is_refused(entries):
    rest = entries[1:]
    with pytest.raises(ConfigError, match="whose session"):
        rehearse(lambda: rest, tape_from_events([], ()))


def test_times_in_a_recording_never_fall_and_inputs_have_their_own(entries):
    last = 0
    for one in entries:
        at = one.at_ns if isinstance(one, Record) else one.recv_ns
        fresh = not isinstance(one, Record) or isinstance(one, Answered | Watched)
        assert at > last if fresh else at >= last
        last = at
