"""Files of a session that are damaged, broken or can't be written: named to people, never fatal."""

import asyncio
import shutil
from functools import partial
from pathlib import Path

import pytest

from models.errors import ConfigError
from store import agents, state
from store.bus import Bus
from strategies import library
from tasks import session_open, session_spec
from tasks.agent_files import AGENTS_DIR, find_agent, read_agents
from tasks.session import TradingSession
from tasks.session_spec import spec_of
from tests.tasks.conftest import play
from tests.tasks.cut_line import Line
from tests.tasks.eager import AGENT, Quoter
from tests.tasks.session_kit import Stage, chat_room, run

pytestmark = pytest.mark.timeout(600)
"""Real processes on a busy machine."""

CREATE = library.create


async def test_damaged_files_are_named_and_the_checkpoint_before_is_used(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, Quoter)
    folder = stage.settings.floor_home / "checkpoints"

    async def several() -> bool:
        return len(list(folder.glob("*.checkpoint"))) >= 3

    running = asyncio.create_task(run(stage.session("first")))
    await stage.until("checkpoints are in files", several)
    await state.set_halt(stage.database, "a test")
    await running
    await state.clear_halt(stage.database)
    # Only the files are left, and the newest is spoilt.
    await stage.database.execute("DELETE FROM agent_checkpoints")
    *_, before, newest = sorted(folder.glob("*.checkpoint"))
    good = before.read_bytes()
    newest.write_bytes(newest.read_bytes()[:-7] + b"garbage")
    # Beside it what a dead session left for Postgres, and something fell upon it.
    spoilt = stage.settings.floor_home / "spool" / f"{AGENT}.journal.{1:020d}-1.wal"
    spoilt.parent.mkdir(exist_ok=True)
    spoilt.write_bytes(b"no frame at all" * 20)
    async with chat_room() as chat:
        session = stage.session("second", slack_webhook_url=chat.url)
        assert await session.open() == ""
        async with session:

            async def told() -> bool:
                text = "\n".join(chat.told)
                return newest.name in text and spoilt.stem in text

            await stage.until("people hear of the damaged files", told)
            strategy = session.prepared.strategy
            assert isinstance(strategy, Quoter)
            assert f'"asked":{strategy.asked}}}'.encode() in good.replace(b" ", b"")
    assert len([text for text in chat.told if newest.name in text]) == 1
    assert newest.with_name(newest.name + ".damaged").exists()


# --- a broken agent file ------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of agent files that may be spoilt."""
    folder = tmp_path / "agents"
    folder.mkdir()
    shutil.copy(AGENTS_DIR / f"{AGENT}.yaml", folder)
    monkeypatch.setattr(session_spec, "find_agent", partial(find_agent, folder=folder))
    monkeypatch.setattr(session_open, "read_agents", partial(read_agents, folder))
    return folder


async def test_a_file_that_breaks_leaves_the_running_version_in_place(
    stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / f"{AGENT}.yaml"
    good, fault = await spec_of(stage.settings, AGENT)
    assert fault == ""
    running = asyncio.create_task(
        run(TradingSession(stage.settings, good, "first", successor=_nobody))
    )
    await stage.until("orders rest", stage.resting)
    path.write_text(path.read_text().replace("strategy:", "stratgey:"), encoding="utf-8")
    spec, fault = await spec_of(stage.settings, AGENT)
    assert spec == good
    assert "stratgey" in fault and path.name in fault
    async with chat_room() as chat:
        settings = stage.settings.model_copy(update={"slack_webhook_url": chat.url})
        await state.put(stage.database, f"handover/{AGENT}", "first")
        successor = TradingSession(settings, spec, "second", _nobody, fault)
        following = asyncio.create_task(run(successor))
        await stage.until("the successor holds the lease", lambda: stage.held_by("second"))
        await running
        await stage.until("it trades", stage.resting)
        assert successor.spec == good
        await state.set_halt(stage.database, "test over")
        assert await following == ""
    assert chat.told[0] == f"{AGENT} trades by its last good file: {fault}"


async def test_a_broken_file_of_an_agent_that_never_ran_is_an_error(
    stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / f"{AGENT}.yaml"
    path.write_text("name: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid YAML"):
        await spec_of(stage.settings, AGENT)
    # Nor is an earlier spec used whose strategy the release no longer has.
    monkeypatch.setattr(library, "create", CREATE)
    await agents.sync_agents(stage.database, [find_agent(AGENT)])
    await stage.database.execute(
        "UPDATE agents SET spec = jsonb_set(spec, '{strategy}', '\"gone\"')"
    )
    with pytest.raises(ConfigError, match="not valid YAML"):
        await spec_of(stage.settings, AGENT)


async def _nobody(attempt: int) -> None:
    return None


# --- a full disk --------------------------------------------------------------------------------


async def test_a_full_disk_stops_nothing_until_postgres_is_away_too(stage: Stage) -> None:
    assert stage.settings.database_url is not None and stage.settings.redis_url is not None
    redis = stage.settings.redis_url.get_secret_value()
    async with (
        Line(stage.settings.database_url.get_secret_value()) as line,
        chat_room() as chat,
        Bus(redis) as bus,
    ):
        process = stage.process(
            DATABASE_URL=line.url,
            SLACK_WEBHOOK_URL=chat.url.get_secret_value(),
            EAGER_FILE_BYTES="16",
            HEARTBEAT_INTERVAL="1",
        )
        try:

            async def told(words: str) -> bool:
                return any(words in text for text in chat.told)

            await stage.until("people hear of it", lambda: told("checkpoint of"))
            filled = await stage.fills()
            await stage.until("it trades on", lambda: _more(stage, filled + 1))

            async def suspended() -> str:
                beat = (await bus.heartbeats()).get(AGENT, {})
                return str(beat.get("suspended", ""))

            assert await suspended() == ""
            assert (await bus.heartbeats())[AGENT]["rss_mb"] > 10
            await line.cut()

            async def says_why() -> bool:
                return "neither Postgres nor the disk" in await suspended()

            await stage.until("it is suspended and says why", says_why)
            assert await stage.resting() == []
            await line.mend()
            await stage.until("it trades again", stage.resting)
        finally:
            process.terminate()
            code = await asyncio.to_thread(process.wait, 60)
            process.kill()
    # 120 is the interpreter's word on a last line of output that found no room.
    assert code in (143, 120)
    assert len([text for text in chat.told if "checkpoint of" in text]) == 1
    await stage.assert_books_agree()


async def _more(stage: Stage, than: int) -> bool:
    return await stage.fills() > than
