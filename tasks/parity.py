"""A recorded session held against the backtester: the same decisions, and fills as explained."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.recording.compare import (
    Closeness,
    Exactness,
    Same,
    bound_of,
    compare,
    compare_fills,
    live_parts,
)
from engine.recording.others import without_ours
from engine.recording.refill import Latency, ModelFill, latency_of, refill, sendings
from engine.recording.rehearsal import market_data, markets_of, rehearse
from models.errors import ConfigError
from models.fills import FillModel
from models.recording import Entry, Opened, time_of
from models.units import MILLISECOND_NS, SHARE
from store.recording import read_recording
from store.tape import tape_from_events

HALF = 0.5
"""Share of an order's measured way there and back that is the way there."""
ELSE = (0.75, 0.25, 0.9, 0.1, 1.0, 0.0)
"""Other shares: an order arrived between its sending and its answer, nobody knows when."""


@dataclass(frozen=True, slots=True)
class Parity:
    """What came of playing one recording again."""

    agent: str
    strategy: str
    conditions: Mapping[str, Any]
    seconds: float
    events: int
    latency: Latency
    exactness: Exactness
    closeness: Closeness

    @property
    def holds(self) -> bool:
        """Whether decisions and orders are identical and every fill is explained."""
        return self.exactness.exact and not self.closeness.beyond


def parity_of(path: Path) -> Parity:
    """Play a recording again, twice: with the answers it got, and against our own fill model.

    Raises
    ------
    ConfigError
        The file is no whole recording, or its agent can't be built.
    """

    def entries() -> Iterable[Entry]:
        return read_recording(path)

    opened = next(iter(entries()), None)
    if not isinstance(opened, Opened):
        raise ConfigError(f"recording {path}: empty; the session died before it began")
    markets = markets_of(entries())
    tape = tape_from_events(market_data(entries()), markets, str(path))
    played = rehearse(entries, tape)
    sent = sendings(entries())
    latency = latency_of(sent)
    others = sorted(without_ours(entries), key=lambda event: event.recv_ns)
    said = opened.conditions
    market = tape_from_events(others, markets, str(path), said.get("levels"))
    fill_model = FillModel(said.get("fill_model", FillModel.BACK))
    held_ns = int(said.get("taker_delay_ms", 0)) * MILLISECOND_NS

    def arriving(there: float) -> Mapping[str, list[ModelFill]]:
        return refill(sent, market, fill_model, there, held_ns)

    closeness = compare_fills(
        live_parts(entries()),
        arriving(HALF),
        map(arriving, ELSE),
        sent,
        bound_of(latency, held_ns, others),
    )
    last_ns = max(time_of(entry) for entry in entries())
    return Parity(
        played.spec.name, played.spec.strategy, said, (last_ns - opened.at_ns) / 1e9,
        played.events, latency, compare(played), closeness,
    )  # fmt: skip


HEADINGS = (
    "agent", "events", "calls live", "again", "alike", "decisions live", "again", "alike",
    "orders live", "again", "alike", "order ms", "fills live", "model", "shares live", "model",
    "orders filled", "same size and price", "apart ms", "worst", "bound", "by time", "beyond",
)  # fmt: skip


def cells(one: Parity) -> tuple[str, ...]:
    """One row of the table under `HEADINGS`."""
    near, did = one.closeness, one.exactness
    same = [text for part in (did.calls, did.decisions, did.orders) for text in _counts(part)]
    return (
        one.agent, str(one.events), *same, _ms(one.latency.median_ns), str(near.live_fills),
        str(near.model_fills), f"{near.live_e6 / SHARE:.2f}", f"{near.model_e6 / SHARE:.2f}",
        str(near.orders), str(near.alike), _ms(near.median_ns), _ms(near.worst_ns),
        _ms(near.bound.total_ns), str(len(near.timed)), str(len(near.beyond)),
    )  # fmt: skip


def faults(one: Parity) -> list[str]:
    """What does not agree, in words."""
    did = one.exactness
    named = {"calls": did.calls, "decisions": did.decisions, "orders": did.orders}
    told = [f"{one.agent}: {name} {same.first}" for name, same in named.items() if same.first]
    return told + [f"{one.agent}: fill {text}" for text in one.closeness.beyond]


def _counts(same: Same) -> tuple[str, str, str]:
    return str(same.live), str(same.again), str(same.alike)


def _ms(ns: int) -> str:
    return f"{ns / MILLISECOND_NS:.1f}"
