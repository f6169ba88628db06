"""A trader's checkpoint: what the next session needs so that it does not start from nothing."""

from collections.abc import Mapping
from typing import Any

import structlog

from engine.markets import MarketData
from models.events import SpotSource
from models.units import SECOND_NS
from strategies.base import Strategy

log = structlog.get_logger(__name__)

SPOT_EVERY_NS = 5 * SECOND_NS
SPOT_SINCE_NS = 900 * SECOND_NS
"""Spot prices of the last quarter of an hour, every five seconds: a lookback survives."""


def pack(strategy: Strategy, data: MarketData, now_ns: int) -> dict[str, Any]:
    """Return a JSON-serialisable checkpoint. A strategy that can't snapshot is left out."""
    state: dict[str, Any] = {
        "at_ns": now_ns,
        "strikes": {
            condition_id: one.market.strike_e8
            for condition_id, one in data.states.items()
            if one.market.strike_e8 is not None
        },
        "spot": {
            asset: history.thinned(SPOT_EVERY_NS, now_ns - SPOT_SINCE_NS)
            for asset, history in data.histories(SpotSource.CHAINLINK).items()
        },
    }
    features = {condition_id: one.view.features for condition_id, one in data.states.items()}
    if indicators := data.indicators.snapshot(features):
        state["indicators"] = indicators
    try:
        state["strategy"] = strategy.snapshot()
    except Exception as error:
        log.error("snapshot_failed", strategy=strategy.name, error=repr(error))
    return state


def unpack(state: Mapping[str, Any], strategy: Strategy, data: MarketData) -> str:
    """Take a checkpoint back; return what could not be, or an empty text."""
    faults: list[str] = []
    try:
        data.strikes.update({str(key): int(e8) for key, e8 in state.get("strikes", {}).items()})
        for asset, rows in state.get("spot", {}).items():
            history = data.history(str(asset), SpotSource.CHAINLINK)
            for ts_ns, price_e8 in rows:
                history.append(int(ts_ns), int(price_e8))
    except (TypeError, ValueError, AttributeError) as error:
        faults.append(f"market data: {error!r}")
    faults += data.indicators.restore(state.get("indicators", {}))
    try:
        if state.get("strategy"):
            strategy.restore(state["strategy"])
    except Exception as error:
        faults.append(f"strategy: {error!r}")
    return "; ".join(faults)
