"""Reconcile: our books against the venue's. The venue wins, and every difference is told."""

import asyncio

import structlog
from prefect import flow
from prefect.artifacts import acreate_table_artifact

from models.errors import FloorError, StoreUnavailable, VenueError
from models.settings import Settings, load_settings
from store.database import Database
from store.journal_drain import drain_dead
from store.reserve import Reserve
from store.urls import urls
from tasks.alerts import Alerts
from tasks.reconcile_floor import Look, look, mend, news, note_comparison, return_leaks
from tasks.reconciliation import Difference, persistent
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery

log = structlog.get_logger(__name__)

SECOND_LOOK_S = 3.0
"""Money in motion settles between two looks; what both see is a difference."""
NONCE = 0


@flow(name="reconcile", flow_run_name="reconcile", timeout_seconds=50)
async def reconcile() -> str:
    """Compare orders, fills, holdings and cash; adopt what the venue knows better.

    Also while the floor is halted: nothing trades then, but money moves.
    """
    settings = load_settings()
    async with Database(urls(settings).database, max_size=2) as database:
        await _book_what_is_left(settings, database)
        await _return_leaks(settings, database)
        try:
            first, second = await _two_looks(settings, database)
        except VenueError as error:
            return f"the venue does not answer: {error}"
        found = persistent(first.differences, second.differences)
        fresh = await news(database, found)
        done = await mend(database, found, second)
        await note_comparison(database)
        if not found:
            return f"agrees: {len(second.trades)} trades compared, cash and shares"
    await _report(found)
    if fresh:
        async with Alerts(settings) as alerts:
            text = f"books differ from the venue in {len(fresh)} places: {fresh[0]}"
            alerts.post("error", text)
    return "; ".join([f"{len(found)} differences", *done])


async def _book_what_is_left(settings: Settings, database: Database) -> None:
    """Book what sessions that died left on this host, should their agents go on elsewhere."""
    try:
        count, damaged = await drain_dead(database, settings.floor_home / "spool")
    except FloorError as error:
        log.warning("leftovers_not_booked", reason=str(error))
        return
    if count:
        log.info("leftovers_booked", entries=count)
    if damaged:
        async with Alerts(settings) as alerts:
            names = ", ".join(damaged)
            alerts.post("error", f"damaged journal files were set aside: {names}")


async def _return_leaks(settings: Settings, database: Database) -> None:
    """Return what nobody needs of the floor's room; while a store is away it waits."""
    try:
        async with Reserve(urls(settings).redis) as reserve:
            await return_leaks(database, reserve)
    except StoreUnavailable as error:
        log.info("leaks_not_looked_for", reason=str(error))


async def _two_looks(settings: Settings, database: Database) -> tuple[Look, Look]:
    """Look, and look again if anything differs."""
    venue = await PolymarketVenue.connect(settings, nonce=NONCE, agent="reconcile")
    try:
        async with GammaDiscovery(settings) as discovery:
            first = await look(database, venue, discovery)
            if not first.differences:
                return first, first
            await asyncio.sleep(SECOND_LOOK_S)
            return first, await look(database, venue, discovery)
    finally:
        await venue.close()


async def _report(found: list[Difference]) -> None:
    await acreate_table_artifact(
        key="reconcile",
        table=[
            {"kind": one.kind, "what": one.subject, "ours": one.ours, "venue": one.venues}
            for one in found
        ],
        description="What our books and the venue disagreed on.",
    )
