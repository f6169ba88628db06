"""What a session needs before it may trade: everything that takes time and no lease.

A successor does all of this while its predecessor trades on, so that the hand-over itself is one
row in Postgres and a few reads.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import structlog

from engine.steady import STEADY
from models.agents import AgentSpec
from models.errors import ConfigError, FloorError
from models.settings import Settings
from models.units import SECOND_NS
from store import agents
from store.bus import Bus
from store.database import Database
from store.reserve import Reserve
from store.urls import urls
from strategies import library
from strategies.base import Strategy
from tasks.agent_files import read_agents
from tasks.alerts import Alerts, Publish
from tasks.api_keys import api_nonce
from tasks.early_feed import EarlyFeed
from tasks.guards import halt_reason
from tasks.policies import opening_policies
from tasks.risk_policies import Policies
from tasks.session_settling import unsettled_ended
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.feed import PolymarketFeed

log = structlog.get_logger(__name__)

WARM_S = 5.0
"""Longest the markets of now are waited for: they are only looked at ahead of time."""


@dataclass(slots=True)
class Prepared:
    """Everything of a session that needs no lease; closed with the stack it was opened on."""

    database: Database
    strategy: Strategy
    policies: Policies
    bus: Bus
    alerts: Alerts
    discovery: GammaDiscovery
    venue: PolymarketVenue
    feed: EarlyFeed
    reserve: Reserve
    settle_only: str
    """Why nothing may be traded, although windows that have ended wait to be settled."""


async def prepare(
    settings: Settings, spec: AgentSpec, stack: AsyncExitStack, publish: Callable[[Bus], Publish]
) -> Prepared | str:
    """Open what needs no lease, on `stack`; returns why the agent must not trade, if so.

    Raises
    ------
    FloorError
        Something the session needs is wrong or away.
    """
    addresses = urls(settings)
    enter = stack.enter_async_context
    database = await enter(Database(addresses.database))
    specs, faults = read_agents()
    await agents.sync_agents(database, list(specs.values()), disable_missing=not faults)
    strategy = library.create(spec.strategy, spec.parameters)
    settle_only = ""
    if reason := await halt_reason(database, spec.name):
        if await halt_reason(database) or not await unsettled_ended(database, spec.name):
            return reason
        settle_only = reason
    try:
        policies = await opening_policies(settings, database)
    except ConfigError as error:
        # No fault of the agent: it trades as soon as a person has mended the file.
        return f"the risk policies are wrong: {error}"
    bus = await enter(Bus(addresses.redis))
    alerts = await enter(Alerts(settings, publish=publish(bus)))
    discovery = await enter(GammaDiscovery(settings))
    venue = await PolymarketVenue.connect(settings, nonce=api_nonce(spec.name), agent=spec.name)
    stack.push_async_callback(venue.close)
    feed = EarlyFeed(PolymarketFeed(settings, venue))
    stack.push_async_callback(feed.close)
    reserve = await enter(Reserve(addresses.redis))
    if not settle_only:
        await _look_ahead(spec, discovery, feed)
    return Prepared(
        database, strategy, policies, bus, alerts, discovery, venue, feed, reserve, settle_only
    )


async def _look_ahead(spec: AgentSpec, discovery: GammaDiscovery, feed: EarlyFeed) -> None:
    """Connect to the books of the markets of now, so that the first look at them is no wait."""
    with suppress(TimeoutError):
        async with asyncio.timeout(WARM_S):
            await feed.begin()
            for selector in spec.markets:
                start_s = discovery.window_start_s(selector.timeframe, STEADY.now_ns() // SECOND_NS)
                try:
                    market = await discovery.market(selector.asset, selector.timeframe, start_s)
                    if market is not None:
                        await feed.look_at(market)
                except FloorError as error:
                    log.warning("not_looked_ahead", asset=selector.asset, reason=str(error))
