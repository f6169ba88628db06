"""A trader's checkpoint: all that a successor can't read from the journal or hear from the venue.

With it a session that takes over decides as the one before would have: the strategy's memory,
indicators in the middle of their sampling periods, every spot price that a lookback can reach,
when each window decides next, and what the desk holds back and until when.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import structlog

from engine.markets import MarketData
from models.errors import BadValue
from models.events import SpotSource, SpotTick
from models.journal import JournalState
from models.units import SECOND_NS
from strategies.base import Strategy

log = structlog.get_logger(__name__)

VERSION = 2
LOOKBACK_NS = 3660 * SECOND_NS
"""Every price that a strategy's longest lookback (an hour) can reach."""
BOUNDARY_NS = 300 * SECOND_NS
"""Of a source that only settles markets, the last minutes: a boundary second must be found."""
GAP_NS = 5 * SECOND_NS
"""A break shorter than this is none for indicators: the next sample follows from the last."""

Faults = list[str]
Price = tuple[str, str, int, int]
"""A row of `JournalState.spot`."""
_NONSENSE = (AttributeError, LookupError, TypeError, ValueError)


def pack(
    strategy: Strategy,
    data: MarketData,
    now_ns: int,
    windows: Mapping[str, Mapping[str, Any]] | None = None,
    desk: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a JSON-serialisable checkpoint. A strategy that can't snapshot is left out.

    Parameters
    ----------
    windows
        The pace of every window that is being traded, by condition id.
    desk
        What `engine.desk.Desk.snapshot` returned.
    """
    # What was brought along and has not been opened yet is handed on as it came.
    waiting = {key: pace for key, pace in data.paces.items() if pace.get("quit_ns", 0) > now_ns}
    state: dict[str, Any] = {
        "version": VERSION,
        "at_ns": now_ns,
        "strikes": {key: e8 for key, e8 in data.strikes.items() if key in waiting}
        | {
            condition_id: one.market.strike_e8
            for condition_id, one in data.states.items()
            if one.market.strike_e8 is not None
        },
        "prices": [
            [asset, source.value, history.packed(_since_ns(source, now_ns))]
            for source in SpotSource
            for asset, history in data.histories(source).items()
        ],
        "spot_heard_ns": data.spot_heard_ns(),
        "windows": waiting | dict(windows or {}),
    }
    if desk is not None:
        state["desk"] = desk
    features = {condition_id: one.view.features for condition_id, one in data.states.items()}
    if indicators := data.indicators.snapshot(features, waiting):
        state["indicators"] = indicators
    try:
        # As it will come back, and a copy: whoever writes it down may do so in another thread.
        state["strategy"] = json.loads(json.dumps(strategy.snapshot(), allow_nan=False))
    except Exception as error:
        log.error("snapshot_failed", strategy=strategy.name, error=repr(error))
    return state


def take_up(
    state: JournalState,
    strategy: Strategy,
    data: MarketData,
    now_ns: int,
    assets: Collection[str],
) -> str:
    """Take up what the journal brought, its checkpoint and the prices since then.

    Parameters
    ----------
    assets
        The assets the agent trades: prices of others are of no use to it.

    Returns
    -------
    str
        What could not be taken up, empty where all was.
    """
    checkpoint = state.checkpoint or {}
    faults: Faults = []
    prices = [row for row in state.spot if row[0] in assets]
    _restore_markets(checkpoint, data, faults)
    _restore_indicators(checkpoint, prices, data, now_ns, faults)
    _fill_gap(prices, data)
    try:
        if checkpoint.get("strategy"):
            strategy.restore(checkpoint["strategy"])
    except Exception as error:
        faults.append(f"strategy: {error!r}")
    return "; ".join(faults)


def _since_ns(source: SpotSource, now_ns: int) -> int:
    return now_ns - (LOOKBACK_NS if source is SpotSource.CHAINLINK else BOUNDARY_NS)


def _restore_markets(state: Mapping[str, Any], data: MarketData, faults: Faults) -> None:
    """Take up each part by itself: one that is spoilt costs no other."""

    def strikes() -> None:
        data.strikes.update({str(key): int(e8) for key, e8 in state.get("strikes", {}).items()})

    def prices() -> None:
        for asset, source, rows in state.get("prices", ()):
            data.history(str(asset), SpotSource(source)).unpack(rows)

    def heard() -> None:
        told = state.get("spot_heard_ns", {})
        data.hear_spot({str(asset): int(recv_ns) for asset, recv_ns in told.items()})

    def windows() -> None:
        for key, memory in state.get("windows", {}).items():
            data.paces[str(key)] = _window(memory)

    for part in (strikes, prices, heard, windows):
        try:
            part()
        except _NONSENSE as error:
            faults.append(f"{part.__name__}: {error!r}")


def _window(memory: Mapping[str, Any]) -> dict[str, Any]:
    """Return a window's memory, certain to be what `engine.window.Window.snapshot` returned."""
    return {
        "next_tick_ns": int(memory["next_tick_ns"]),
        "dirty": bool(memory["dirty"]),
        "pulled": bool(memory["pulled"]),
        "quit_ns": int(memory["quit_ns"]),
        "told": [int(mark) for mark in memory["told"]],
    }


def _restore_indicators(
    checkpoint: Mapping[str, Any],
    prices: Iterable[Price],
    data: MarketData,
    now_ns: int,
    faults: Faults,
) -> None:
    try:
        gap = now_ns - int(checkpoint.get("at_ns", 0)) > GAP_NS
        memory = checkpoint.get("indicators", {})
        faults += data.indicators.restore(memory, gap, _without_gap(prices, data))
    except _NONSENSE as error:
        faults.append(f"indicators: {error!r}")


def _without_gap(rows: Iterable[Price], data: MarketData) -> set[str]:
    """Return the assets whose prices went on being seen while nobody traded here."""
    known: dict[str, int] = {
        asset: history.last_ns for asset, history in data.histories(SpotSource.CHAINLINK).items()
    }
    return {
        asset
        for asset, source, ts_ns, _ in rows
        if source == SpotSource.CHAINLINK and 0 < ts_ns - known.get(asset, 0) <= GAP_NS
    }


def _fill_gap(rows: Iterable[Price], data: MarketData) -> None:
    """Hear the prices that others saw meanwhile; how fresh they are they do not say."""
    for asset, source, ts_ns, price_e8 in rows:
        try:
            kind = SpotSource(source)
        except ValueError:
            continue
        if ts_ns > data.history(asset, kind).last_ns:
            data.past_spot(SpotTick(ts_ns, ts_ns, asset, kind, price_e8))


def unpack_desk(state: Mapping[str, Any] | None, restore: Any) -> str:
    """Hand the desk its part of a checkpoint; return what was wrong with it."""
    memory = (state or {}).get("desk")
    if not memory:
        return ""
    try:
        restore(memory)
    except (BadValue, *_NONSENSE) as error:
        return f"desk: {error!r}"
    return ""
