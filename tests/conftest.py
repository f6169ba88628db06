"""Real servers for the tests: one embedded Postgres and one Redis, started when first asked for."""

import ctypes
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import hypothesis
import psycopg
import pytest
import redis
import structlog
from psycopg import sql

from models.settings import Settings
from models.tables import metadata
from store.embedded import Program, prepare_postgres, prepare_redis
from store.schema import upgrade
from store.urls import Urls, at_database, ensure_databases, urls

PR_SET_PDEATHSIG = 1

# The suite asks the same questions every time, however slow the machine is;
# HYPOTHESIS_PROFILE=explore looks for new ones.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


LOGS = structlog.get_config()


@pytest.fixture(autouse=True)
def logs_as_at_first() -> None:
    """Whatever quietened the logs before, a command or a fixture: each test hears all of them."""
    structlog.configure(**LOGS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_program(program: Program, log: Path) -> subprocess.Popen[bytes]:
    """Start a server that ends when this process does, however that ends."""

    def die_with_parent() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(program.stop_signal))

    with log.open("ab") as out:
        return subprocess.Popen(
            program.argv,
            env=dict(program.env),
            cwd=program.cwd,
            stdout=out,
            stderr=out,
            preexec_fn=die_with_parent,
        )


def stop_program(process: subprocess.Popen[bytes], program: Program) -> None:
    if process.poll() is None:
        process.send_signal(program.stop_signal)
    process.wait(30)


def wait_for(what: str, ready: Callable[[], object], log: Path, seconds: float = 30) -> None:
    """Call `ready` until it no longer raises; fail with the server's log otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            ready()
        except Exception as error:
            if time.monotonic() > deadline:
                pytest.fail(
                    f"{what} does not answer ({error}); its log ends:\n{log.read_text()[-2000:]}"
                )
            time.sleep(0.05)
        else:
            return


def _ping_redis(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.ping()


@pytest.fixture(scope="session")
def embedded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("floor")


@pytest.fixture(scope="session")
def embedded_urls(embedded_home: Path) -> Urls:
    """Addresses of the tests' servers; `postgres_server` and `redis_server` start them."""
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url=None,
        redis_url=None,
        floor_home=embedded_home,
        postgres_port=free_port(),
        redis_port=free_port(),
    )
    return urls(settings)


@pytest.fixture(scope="session")
def postgres_server(embedded_home: Path, embedded_urls: Urls) -> Iterator[Urls]:
    """A running embedded Postgres with the databases `floor` (migrated) and `prefect`."""
    port = urlsplit(embedded_urls.database).port
    assert port is not None
    program = prepare_postgres(embedded_home, port)
    log = embedded_home / "postgres.log"
    process = run_program(program, log)
    try:
        wait_for("Postgres", lambda: ensure_databases(embedded_urls), log)
        upgrade(embedded_urls.database)
        yield embedded_urls
    finally:
        stop_program(process, program)


@contextmanager
def _new_database(server: Urls, name: str) -> Iterator[str]:
    with psycopg.connect(server.admin, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE floor STRATEGY file_copy").format(
                sql.Identifier(name)
            )
        )
        yield at_database(server.database, name)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


_numbers = itertools.count(1)


@pytest.fixture
def postgres_url(postgres_server: Urls) -> Iterator[str]:
    """Address of a fresh, migrated database, dropped afterwards."""
    with _new_database(postgres_server, f"test_{next(_numbers)}") as url:
        yield url


@pytest.fixture(scope="session")
def kept_database(postgres_server: Urls) -> Iterator[str]:
    with _new_database(postgres_server, "test_kept") as url:
        yield url


@pytest.fixture
def clean_postgres_url(kept_database: str) -> str:
    """Address of a migrated, empty database; quicker than `postgres_url`, for tests that leave
    the tables as they are."""
    with psycopg.connect(kept_database, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in metadata.tables:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    return kept_database


@pytest.fixture(scope="session")
def redis_server(embedded_home: Path, embedded_urls: Urls) -> Iterator[str]:
    port = urlsplit(embedded_urls.redis).port
    assert port is not None
    program = prepare_redis(embedded_home, port)
    log = embedded_home / "redis.log"
    process = run_program(program, log)
    try:
        wait_for("Redis", lambda: _ping_redis(embedded_urls.redis), log)
        yield embedded_urls.redis
    finally:
        stop_program(process, program)


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """Address of an empty Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def programs() -> SimpleNamespace:
    """Helpers for tests that start servers of their own."""
    return SimpleNamespace(
        free_port=free_port, run=run_program, stop=stop_program, wait_for=wait_for
    )
