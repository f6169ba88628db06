"""A recorded session held against the backtester: the same decisions, and fills as explained."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.recording.closeness import Closeness, bound_of, compare_fills, live_parts
from engine.recording.compare import Exactness, Same, compare
from engine.recording.others import without_ours
from engine.recording.reading import market_data, markets_of
from engine.recording.refill import Latency, ModelFill, latency_of, refill, sendings
from engine.recording.rehearsal import rehearse, strategy_of
from models.agents import AgentSpec
from models.errors import ConfigError
from models.events import TradePrint
from models.fills import FillModel
from models.recording import Entry, Opened, time_of
from models.units import MILLISECOND_NS, SHARE
from store.recording import read_recording
from store.tape import tape_from_events
from strategies.base import Strategy

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


def parity_of(path: Path, build: Callable[[AgentSpec], Strategy] = strategy_of) -> Parity:
    """Play a recording again, twice: with the answers it got, and against our own fill model.

    Parameters
    ----------
    build
        Makes the strategy; by default the library's.

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
    played = rehearse(entries, tape, build)
    sent = sendings(entries())
    latency = latency_of(sent)
    others = sorted(without_ours(entries), key=lambda event: event.recv_ns)
    said = opened.conditions
    market = tape_from_events(others, markets, str(path), said.get("levels"))
    fill_model = FillModel(said.get("fill_model", FillModel.BACK))
    held_ns = int(said.get("taker_delay_ms", 0)) * MILLISECOND_NS

    def arriving(there: float, model: FillModel = fill_model) -> Mapping[str, list[ModelFill]]:
        return refill(sent, market, model, there, held_ns)

    def bounds() -> tuple[Mapping[str, list[ModelFill]], ...]:
        """Fills of orders that only a price beyond theirs reaches, and with nobody ahead."""
        silent = [event for event in others if not isinstance(event, TradePrint)]
        unprinted = tape_from_events(silent, markets, str(path), said.get("levels"))
        last = refill(sent, unprinted, FillModel.BACK, HALF, held_ns)
        return last, arriving(HALF, FillModel.FRONT)

    # A predecessor's orders may still fill; when they were sent this recording does not say.
    own = {one.order.order_id for one in sent if one.order is not None}
    closeness = compare_fills(
        {order_id: parts for order_id, parts in live_parts(entries()).items() if order_id in own},
        arriving(HALF),
        map(arriving, ELSE),
        bounds,
        sent,
        bound_of(latency, held_ns, others),
    )
    last_ns = max(time_of(entry) for entry in entries())
    return Parity(
        played.spec.name, played.spec.strategy, said, (last_ns - opened.at_ns) / 1e9,
        played.events, latency, compare(played), closeness,
    )  # fmt: skip


def table(found: Sequence[Parity]) -> str:
    """Return a table as text: one line a fact, one column a session."""
    columns = [_facts(one) for one in found]
    names = [one.agent for one in found]
    if not columns:
        return ""
    widths = [
        max(len(text) for text in (name, *column.values()))
        for name, column in zip(names, columns, strict=True)
    ]
    lines = [("", *names)]
    lines += [(fact, *(column[fact] for column in columns)) for fact in columns[0]]
    return "\n".join(
        f"{line[0]:<42}" + "".join(f"  {c:>{w}}" for c, w in zip(line[1:], widths, strict=True))
        for line in lines
    )


def _facts(one: Parity) -> dict[str, str]:
    near, did = one.closeness, one.exactness
    return {
        "strategy": one.strategy,
        "events heard in how many seconds": f"{one.events} in {one.seconds:.0f}",
        "calls of hooks: live / again / identical": _counts(did.calls),
        "decisions: live / again / identical": _counts(did.decisions),
        "orders: live / again / identical": _counts(did.orders),
        "order there and back: median, worst": _ms(one.latency.median_ns, one.latency.most_ns),
        "orders filled: in all / same size and price": f"{near.orders} / {near.alike}",
        "fills: live / model": f"{near.live_fills} / {near.model_fills}",
        "shares filled: live / model": f"{near.live_e6 / SHARE:.2f} / {near.model_e6 / SHARE:.2f}",
        "fills apart: median, worst": _ms(near.median_ns, near.worst_ns),
        "bound: order's way + book's interval": _ms(near.bound.order_ns, near.bound.book_ns),
        "orders explained by arrival / by the queue": f"{len(near.timed)} / {len(near.queued)}",
        "orders not explained": str(len(near.beyond)),
    }


def as_dict(one: Parity) -> dict[str, Any]:
    """The same for programs."""
    return {
        "agent": one.agent,
        "strategy": one.strategy,
        "holds": one.holds,
        "conditions": dict(one.conditions),
        "seconds": one.seconds,
        "events": one.events,
        "order_latency_ns": asdict(one.latency),
        "exactness": asdict(one.exactness),
        "fills": asdict(one.closeness),
    }


def faults(one: Parity) -> list[str]:
    """What does not agree, in words."""
    did = one.exactness
    named = {"calls": did.calls, "decisions": did.decisions, "orders": did.orders}
    told = [f"{one.agent}: {name} {same.first}" for name, same in named.items() if same.first]
    return told + [f"{one.agent}: fill {text}" for text in one.closeness.beyond]


def _counts(same: Same) -> str:
    return f"{same.live} / {same.again} / {same.alike}"


def _ms(*times_ns: int) -> str:
    return ", ".join(f"{ns / MILLISECOND_NS:.1f}" for ns in times_ns) + " ms"
