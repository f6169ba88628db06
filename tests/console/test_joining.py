"""What `floor worker` checks before it joins a floor elsewhere, and how it says what is wrong."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from console import joining
from models.errors import ConfigError, NotReady
from models.settings import LIVE_CONFIRMATION, Settings
from store import agents, leases, schema
from store.database import Database
from store.journal import PostgresJournal
from tasks.agent_files import load_agents
from tests.conftest import free_port
from tests.store.conftest import Make
from tests.store.sessions import Link, journal_of, kill, lease_of

KEY = "0x" + "1b" * 32
OTHER_KEY = "0x" + "2c" * 32
LOGIN = "floor:hunter2hunter2"


@contextmanager
def answering(answers: dict[str, Any], login: bool = False) -> Iterator[str]:
    """Serve JSON at paths, as Prefect's server and the simulator would; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in answers
            allowed = not login or self.headers.get("Authorization", "").startswith("Basic ")
            self.send_response(401 if not allowed else 200 if known else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answers.get(self.path)).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


GOOD = {
    "/api/admin/version": version("prefect"),
    "/api/work_pools/traders": {"type": "process"},
    "/clob/time": 1,
}


@pytest.fixture
def servers() -> Iterator[str]:
    with answering(GOOD) as address:
        yield address


@pytest.fixture
def settings(tmp_path: Path, clean_postgres_url: str, redis_url: str, servers: str) -> Settings:
    return Settings(
        floor_home=tmp_path,
        database_url=clean_postgres_url,
        redis_url=redis_url,
        prefect_url=f"{servers}/api",
        sim_url=servers,
        sim_wallet_key=KEY,
    )


def refusal(settings: Settings) -> str:
    with pytest.raises(ConfigError) as caught:
        joining.check(settings)
    return str(caught.value)


def test_a_floor_that_is_there_can_be_joined(settings: Settings) -> None:
    joining.check(settings)


def test_a_host_without_addresses_is_told_all_it_lacks(tmp_path: Path) -> None:
    lines = refusal(Settings(floor_home=tmp_path)).splitlines()
    names = [line.partition(" ")[0] for line in lines]
    assert names == ["DATABASE_URL", "REDIS_URL", "PREFECT_URL", "SIM_URL", "SIM_WALLET_KEY"]
    assert not (tmp_path / "credentials").exists(), "asking makes no wallet"
    live = Settings(
        floor_home=tmp_path,
        trading_mode="live",
        live_confirmation=LIVE_CONFIRMATION,
        polymarket_private_key=KEY,
    )
    assert "SIM_" not in refusal(live)


def test_a_copied_wallet_does_as_well_as_the_setting(settings: Settings) -> None:
    without = settings.model_copy(update={"sim_wallet_key": None})
    assert "copy the floor's credentials" in refusal(without)
    folder = settings.floor_home / "credentials"
    folder.mkdir()
    (folder / "simulated-wallet.key").write_text(KEY)
    joining.check(without)


def test_tables_of_another_version_are_refused(settings: Settings, postgres_url: str) -> None:
    schema.downgrade(postgres_url, "-1")
    older = Settings(**settings.model_dump() | {"database_url": postgres_url})
    line = refusal(older)
    assert f"this host's code at {schema.head_revision()}" in line
    assert "install the same version on every host" in line
    password = postgres_url.split("@")[0].rpartition(":")[2]
    assert password not in line


def test_servers_that_do_not_answer_are_all_named(settings: Settings) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    away = Settings(
        **settings.model_dump()
        | {
            "database_url": f"postgresql://u:hunter2@{nowhere}/floor",
            "redis_url": f"redis://:hunter2@{nowhere}/0",
            "prefect_url": f"http://{nowhere}/api",
            "sim_url": f"http://{nowhere}",
        }
    )
    with pytest.raises((NotReady, ConfigError)) as caught:
        joining.check(away)
    text = str(caught.value)
    for part in ("Postgres at", "Redis at", "Prefect at", "the venue at"):
        assert f"{part}" in text
    for name in ("REDIS_URL", "PREFECT_URL", "SIM_URL"):
        assert f"check {name}" in text
    assert "hunter2" not in text


def test_wrong_password_of_redis_is_no_absence(settings: Settings, redis_url: str) -> None:
    place = redis_url.rpartition("@")[2]
    wrong = Settings(**settings.model_dump() | {"redis_url": f"redis://:hunter2@{place}"})
    assert "refuses the login; check REDIS_URL" in refusal(wrong)
    assert "hunter2" not in refusal(wrong)


def test_a_server_older_than_this_host_is_refused(settings: Settings) -> None:
    with answering(GOOD | {"/api/admin/version": "3.0.1"}) as address:
        older = settings.model_copy(update={"prefect_url": address})
        assert "is 3.0.1, older than this host's" in refusal(older)


def test_a_pool_of_another_type_or_none_is_refused(settings: Settings) -> None:
    with answering(GOOD | {"/api/work_pools/traders": {"type": "docker"}}) as address:
        line = refusal(settings.model_copy(update={"prefect_url": address}))
        assert "TRADERS_POOL=process: the floor's pool is of type docker" in line
    none = {key: value for key, value in GOOD.items() if "work_pools" not in key}
    with answering(none) as address:
        line = refusal(settings.model_copy(update={"prefect_url": address}))
        assert "no work pool `traders` yet" in line


def test_a_server_that_asks_who_it_is_gets_an_answer(settings: Settings) -> None:
    with answering(GOOD, login=True) as address:
        without = settings.model_copy(update={"prefect_url": address})
        assert "refuses the login; check PREFECT_AUTH" in refusal(without)
        joining.check(Settings(**without.model_dump() | {"prefect_auth": LOGIN}))


async def trade(url: str, maker: str, agent: str, home: Path) -> None:
    """Leave what a session that trades now leaves: its lease and a signed order."""
    async with Database(url, max_size=2) as db:
        await agents.sync_agents(db, [Make.spec(agent)])
        lease = await leases.acquire(db, agent, "elsewhere:1:1", 60.0)
        assert lease is not None
        order = replace(Make.order(agent=agent), payload={"maker": maker})
        async with PostgresJournal(db, agent, lease, spool_dir=home) as journal:
            await journal.order_signed(order, Make.market())


async def test_the_key_of_another_wallet_is_refused_and_not_shown(
    settings: Settings, clean_postgres_url: str
) -> None:
    ours = max(joining.wallets(settings)).upper().replace("0X", "0x")
    await trade(clean_postgres_url, ours, next(iter(load_agents())), settings.floor_home / "spool")
    joining.check(settings)
    other = Settings(**settings.model_dump() | {"sim_wallet_key": OTHER_KEY})
    line = refusal(other)
    assert line.startswith("SIM_WALLET_KEY (not shown) belongs to another wallet than 0x")
    assert OTHER_KEY not in line
    assert Account.from_key(OTHER_KEY).address not in line


async def test_agents_without_their_file_here_are_named(
    settings: Settings, clean_postgres_url: str
) -> None:
    """A session here would take them for removed, and end them everywhere."""
    async with Database(clean_postgres_url, max_size=1) as db:
        await agents.sync_agents(db, [Make.spec("newcomer")])
    assert "deployments/agents has no newcomer.yaml" in refusal(settings)


async def test_what_sessions_left_here_is_booked_when_the_host_is_back(
    settings: Settings, clean_postgres_url: str
) -> None:
    """Their agent trades elsewhere by now, so none of its sessions comes here to do it."""
    spool, order = settings.floor_home / "spool", Make.order()
    assert await asyncio.to_thread(joining.book_leftovers, settings) == []
    async with Database(clean_postgres_url, max_size=2) as db:
        await agents.sync_agents(db, [Make.spec()])
        link = Link(db)
        dying = journal_of(link, await lease_of(link), spool)
        await dying.start()
        link.down = True
        await dying.order_signed(order, Make.market())
        await kill(dying)
        link.down = False
        await lease_of(db, "elsewhere")
        said = await asyncio.to_thread(joining.book_leftovers, settings)
        rows = await db.fetch("SELECT order_id FROM orders")
    assert said == ["records of earlier sessions here, booked now: 1"]
    assert [row["order_id"] for row in rows] == [order.order_id]
    assert await asyncio.to_thread(joining.book_leftovers, settings) == []
