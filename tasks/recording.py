"""Recording a session: its trader's ports wrapped, its recording a file of its own."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from engine.clock import WaitingClock
from engine.ports import Discovery, Feed, Floor, Journal, Venue
from engine.recording import Recorder
from engine.trader import TraderSettings
from models.agents import AgentSpec
from models.errors import ConfigError
from models.settings import Liquidity, Settings, TradingMode
from models.travel import Travel
from risk.limits import Limits
from store.recording import RecordingFile
from strategies.base import Strategy
from venue.simulator.liquidity import SEEN_LEVELS

log = structlog.get_logger(__name__)

FOLDER = "recordings"
"""Folder under FLOOR_HOME, with one of each agent in it; recordings may be deleted at any time."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What a trader is given."""

    strategy: Strategy
    venue: Venue
    feed: Feed
    discovery: Discovery
    journal: Journal
    clock: WaitingClock
    floor: Floor | None


def recorded(
    settings: Settings, spec: AgentSpec, limits: Limits, ports: Ports, stack: AsyncExitStack
) -> Ports:
    """Return the ports wrapped by a recorder if RECORD_SESSIONS asks for it, else as they are.

    The recording is closed with `stack`. A recording that can't be begun is told and stops
    nobody from trading.
    """
    if not settings.record_sessions:
        return ports
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    path = settings.floor_home / FOLDER / spec.name / f"{at}.rec"
    try:
        file = RecordingFile(path)
    except ConfigError as error:
        log.error("session_not_recorded", agent=spec.name, reason=str(error))
        return ports
    stack.callback(file.close)
    log.info("session_recorded", agent=spec.name, path=str(path))
    recorder = Recorder(file.write, ports.clock)
    recorder.open(spec, limits, TraderSettings(), conditions(settings))
    return Ports(
        recorder.strategy(ports.strategy),
        recorder.venue(ports.venue),
        recorder.feed(ports.feed),
        recorder.discovery(ports.discovery),
        recorder.journal(ports.journal),
        recorder.clock,
        recorder.floor(ports.floor),
    )


def conditions(settings: Settings) -> dict[str, Any]:
    """What the venue is known to do, for whoever plays the session again."""
    said: dict[str, Any] = {
        "trading_mode": settings.trading_mode.value,
        "fill_model": settings.fill_model.value,
    }
    if settings.simulated:
        said["taker_delay_ms"] = settings.sim_taker_delay_ms
    if settings.trading_mode is TradingMode.SIM and settings.sim_liquidity is not Liquidity.MODEL:
        said["levels"] = SEEN_LEVELS
    if settings.order_latency != Travel():
        said["order_latency"] = str(settings.order_latency)
    return said
