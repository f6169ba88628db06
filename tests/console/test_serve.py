"""`floor serve`: the program itself in place of the command, and whether it is found alive."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from console.alive import STARTING_S, ailing
from console.records import (
    FloorRecord,
    Identity,
    LaunchRecord,
    read_launch,
    run_folder,
    write_floor,
    write_launch,
)
from models.settings import ROOT

from .conftest import Floor, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def test_the_command_becomes_the_program_and_signals_reach_it(a_floor: Floor) -> None:
    served = a_floor.start("serve", "simulator")
    try:
        url = f"http://127.0.0.1:{a_floor.ports['SIM_PORT']}/admin/status"
        eventually("the simulator answers", lambda: answers(url), 90)
        words = psutil.Process(served.pid).cmdline()
        assert words[1:] == ["-m", "venue.simulator"]
        assert ailing(a_floor.home, ["simulator"]) == []
        os.kill(served.pid, signal.SIGTERM)
        assert served.wait(30) == 0
        assert ailing(a_floor.home, ["simulator"]) == ["simulator: ended"]
    finally:
        served.kill()
        served.communicate()


def test_it_waits_for_servers_that_run_elsewhere(a_floor: Floor) -> None:
    nowhere = "postgresql://u:hunter2@127.0.0.1:9/floor"
    elsewhere = Floor(a_floor.home, a_floor.ports, {"DATABASE_URL": nowhere})
    waiting = elsewhere.start("serve", "database")
    try:

        def note() -> str:
            record = read_launch(a_floor.home, "database")
            return "" if record is None else record.note

        assert eventually("it says so", note, 60) == "waits for embedded Postgres"
        assert waiting.poll() is None
    finally:
        waiting.kill()
        output, _ = waiting.communicate()
    assert "hunter2" not in output


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("redis", "run one of your own"),
        ("traders", "`floor worker`"),
        ("nothing", "there are: postgres"),
    ],
)
def test_what_cannot_be_served_is_one_clear_line(a_floor: Floor, name: str, reason: str) -> None:
    refused = a_floor.floor("serve", name, check=False)
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


# --- console.alive ------------------------------------------------------------------------------


def launch(home: Path, name: str, state: str, note: str = "") -> None:
    me = Identity.of(os.getpid())
    write_launch(home, name, LaunchRecord(me.pid, me.created, state, "life", note, [time.time()]))


def start(home: Path, *programs: str) -> None:
    run_folder(home).mkdir()
    me = Identity.of(os.getpid())
    record = FloorRecord(me.pid, me.created, "life", "socket", True, programs=list(programs))
    write_floor(home, record)


def test_health_is_what_the_launchers_wrote_down(tmp_path: Path) -> None:
    assert ailing(tmp_path, []) == ["nothing was started here"]
    start(tmp_path, "database", "traders")
    launch(tmp_path, "database", "done")
    assert ailing(tmp_path, []) == ["traders: was never started"]
    launch(tmp_path, "traders", "waiting", note="waits for Redis")
    assert ailing(tmp_path, []) == []
    launch(tmp_path, "traders", "running")
    assert ailing(tmp_path, []) == []


def test_a_program_that_waits_too_long_or_ended_is_named(tmp_path: Path) -> None:
    run_folder(tmp_path).mkdir()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_launch(tmp_path, "ops", LaunchRecord(gone.pid, time.time(), "running", "life"))
    assert ailing(tmp_path, ["ops"]) == ["ops: ended"]
    launch(tmp_path, "ops", "waiting", note="waits for it")
    assert ailing(tmp_path, ["ops"]) == []
    assert ailing(tmp_path, ["ops"], now=time.time() + STARTING_S + 60) == ["ops: waits for it"]


def test_a_health_check_costs_little_and_tells_by_its_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "console.alive"]
    environment = {**os.environ, "FLOOR_HOME": str(tmp_path)}
    asked = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (asked.returncode, asked.stdout.strip()) == (1, "nothing was started here")
    slow = ("prefect", "numpy", "sqlalchemy", "pydantic")
    assert not [name for name in slow if f"|{name}\n" in asked.stderr.replace(" ", "")]
