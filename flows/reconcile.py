"""Reconcile: our books against the venue's. The venue wins, and every difference is told."""

import asyncio

from prefect import flow
from prefect.artifacts import acreate_table_artifact

from models.errors import VenueError
from models.settings import load_settings
from store.database import Database
from store.urls import urls
from tasks.alerts import Alerts
from tasks.guards import halt_reason
from tasks.reconcile_floor import look, mend
from tasks.reconciliation import Difference, persistent
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery

SECOND_LOOK_S = 3.0
"""Money in motion settles between two looks; what both see is a difference."""
NONCE = 0


@flow(name="reconcile", flow_run_name="reconcile", timeout_seconds=50)
async def reconcile() -> str:
    """Compare orders, fills, holdings and cash; adopt what the venue knows better."""
    settings = load_settings()
    async with Database(urls(settings).database, max_size=2) as database:
        if reason := await halt_reason(database):
            return reason
        venue = await PolymarketVenue.connect(settings, nonce=NONCE, agent="reconcile")
        try:
            async with GammaDiscovery(settings) as discovery:
                first = await look(database, venue, discovery)
                if not first.differences:
                    return f"agrees: {len(first.trades)} trades of the last hour, cash and shares"
                await asyncio.sleep(SECOND_LOOK_S)
                second = await look(database, venue, discovery)
        except VenueError as error:
            return f"the venue does not answer: {error}"
        finally:
            await venue.close()
        found = persistent(first.differences, second.differences)
        if not found:
            return "agrees at the second look"
        done = await mend(database, found, second)
    await _report(found)
    async with Alerts(settings) as alerts:
        alerts.post("error", f"books differed from the venue in {len(found)} places: {found[0]}")
    return "; ".join([f"{len(found)} differences", *done])


async def _report(found: list[Difference]) -> None:
    await acreate_table_artifact(
        key="reconcile",
        table=[
            {"kind": one.kind, "what": one.subject, "ours": one.ours, "venue": one.venues}
            for one in found
        ],
        description="What our books and the venue disagreed on.",
    )
