"""Makes everything in Prefect's database old and lets its own clean-up run; prints what is left.

A program of its own, because Prefect reads its settings once, when it is imported.
"""

import asyncio
import json
import os
from typing import Any

import psycopg
from prefect.server.database import provide_database_interface
from prefect.server.services import db_vacuum

COUNTS = {
    "ended": "SELECT count(*) FROM flow_run WHERE end_time IS NOT NULL",
    "others": "SELECT count(*) FROM flow_run WHERE end_time IS NULL",
    "states": "SELECT count(*) FROM flow_run_state s"
    " WHERE NOT EXISTS (SELECT FROM flow_run r WHERE r.id = s.flow_run_id)",
    "events": "SELECT count(*) FROM events",
    "resources": "SELECT count(*) FROM event_resources",
    "logs": "SELECT count(*) FROM log WHERE flow_run_id IS NOT NULL",
    "artifacts": "SELECT count(*) FROM artifact",
    "pages": "SELECT count(*) FROM artifact_collection",
}
OLDER = (
    "UPDATE flow_run SET end_time = end_time - interval '8 days'",
    "UPDATE events SET occurred = occurred - interval '8 days'",
    "UPDATE event_resources SET occurred = occurred - interval '8 days'",
)


async def clean() -> None:
    """Run what the server runs every hour and every day."""
    db = provide_database_interface()
    for each in (
        db_vacuum.vacuum_old_flow_runs,
        db_vacuum.vacuum_events_with_retention_overrides,
        db_vacuum.vacuum_old_events,
        db_vacuum.vacuum_orphaned_logs,
        db_vacuum.vacuum_orphaned_artifacts,
        db_vacuum.vacuum_stale_artifact_collections,
    ):
        await each(db=db)


def main() -> None:
    url = os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"].replace("+asyncpg", "", 1)
    seen: dict[str, Any] = {}
    with psycopg.connect(url, autocommit=True) as connection:

        def count() -> dict[str, int]:
            return {name: connection.execute(query).fetchone()[0] for name, query in COUNTS.items()}  # type: ignore[call-overload, index]

        seen["young"] = count()
        asyncio.run(clean())
        seen["kept"] = count()
        for statement in OLDER:
            connection.execute(statement)
        asyncio.run(clean())
        seen["left"] = count()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
