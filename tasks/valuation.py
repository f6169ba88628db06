"""Keeping track of what the floor is worth."""

import time

from store import portfolio
from store.database import Database
from store.ledger import valuations


async def save_snapshots(database: Database) -> None:
    """Write what every agent, and the floor, is worth now."""
    for snapshot in await valuations(database, time.time_ns()):
        await portfolio.save_snapshot(database, snapshot)
