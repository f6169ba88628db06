"""One session is asked to end; its agent's next one is not."""

import pytest

from models.errors import BadValue
from store.database import Database
from store.session_halts import KEPT_S, forget_session_halts, halt_session, session_halt


async def test_only_the_session_that_was_asked_ends(db: Database) -> None:
    assert await session_halt(db, "run-1") == ""
    assert await halt_session(db, "run-1", "cancelled in Prefect")
    assert not await halt_session(db, "run-1", "something else")
    assert await session_halt(db, "run-1") == "cancelled in Prefect"
    assert await session_halt(db, "run-2") == ""
    assert await session_halt(db, "") == ""


async def test_halts_of_sessions_long_over_are_forgotten(db: Database) -> None:
    await halt_session(db, "old", "x")
    await halt_session(db, "new", "x")
    assert await forget_session_halts(db) == 0
    await db.execute(
        "UPDATE system_state SET updated_at = now() - %s * interval '1 second'"
        " WHERE key = 'session-halt:old'",
        (KEPT_S + 5,),
    )
    assert await forget_session_halts(db) == 1
    assert (await session_halt(db, "old"), await session_halt(db, "new")) == ("", "x")


@pytest.mark.parametrize(("run", "reason"), [("", "x"), ("run", "")])
async def test_a_halt_names_its_session_and_says_why(db: Database, run: str, reason: str) -> None:
    with pytest.raises(BadValue, match="give its flow run and a reason"):
        await halt_session(db, run, reason)
