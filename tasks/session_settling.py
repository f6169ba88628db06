"""Windows an agent left behind that may not trade: what they brought must still be booked."""

from store.database import Database

_UNSETTLED = """
    SELECT DISTINCT m.slug FROM positions p JOIN markets m USING (condition_id)
    WHERE p.agent = %s AND NOT p.settled AND m.ends_at <= now() ORDER BY m.slug
"""


async def unsettled_ended(database: Database, agent: str) -> list[str]:
    """Name the agent's windows that are over and whose result is not booked yet, by slug.

    A session of a paused agent settles them, and ends without trading.
    """
    return [str(row["slug"]) for row in await database.fetch(_UNSETTLED, (agent,))]
