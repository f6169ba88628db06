"""Prefect's tables and block types, made ready: ``python -m console.prefect_tables``.

A Prefect server does this when it starts, without a lock: of several that start on a new database
at once all but one fail. Run before them, it leaves them nothing to do. The environment must be a
server's (see console/environment.py), as Prefect reads its settings when it is imported.
"""

import asyncio

from prefect.server.database.dependencies import provide_database_interface
from prefect.server.models.block_registration import run_block_auto_registration


async def make_ready() -> None:
    """Bring the database that the environment names up to date. Again, it changes nothing."""
    database = provide_database_interface()
    await database.create_db()
    async with await database.session() as session:
        await run_block_auto_registration(session=session)


if __name__ == "__main__":
    asyncio.run(make_ready())
