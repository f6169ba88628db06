"""Starting and stopping, with real processes. Only Redis, so that it is quick; the ways are one."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from console.floor import start as begin
from console.floor import stop
from console.leftovers import leftovers
from console.status import gather
from models.errors import FloorError

from .conftest import Floor, eventually, make_floor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="uses parent death signals")

Alive = Callable[[int], bool]


def nothing_left(floor: Floor) -> bool:
    return not leftovers(floor.home) and not (floor.home / "floor.json").exists()


def start(floor: Floor) -> int:
    """Start Redis in the background; returns its process id."""
    started: list[str] = []
    begin(
        floor.settings,
        foreground=False,
        tell=lambda step: started.append(f"{step.program.name} {step.state}"),
        only=["redis"],
    )
    assert started[-1] == "redis ready"
    pid = redis(floor)
    assert pid is not None
    return pid


def redis(floor: Floor) -> int | None:
    """Return Redis' process id by supervisord's word."""
    rows = {row.name: row for row in gather(floor.settings).programs}
    return rows["redis"].pid if rows["redis"].state == "running" else None


def test_up_status_second_up_down(a_floor: Floor, alive: Alive) -> None:
    up = a_floor.floor("up", "--only", "redis")
    assert "embedded Redis: ready" in up.stdout
    status = a_floor.status()
    states = {row["name"]: (row["state"], row["pid"]) for row in status["programs"]}
    assert status["up"] is True
    assert "postgres" not in states
    running, pid = states["redis"]
    assert running == "running"

    second = a_floor.floor("run", check=False)
    assert second.returncode == 1
    assert "already up in the background" in second.stderr
    assert f"http://127.0.0.1:{a_floor.ports['PREFECT_PORT']}" in second.stderr.replace("\n", "")
    assert "Traceback" not in second.stderr
    assert alive(pid)

    down = a_floor.floor("down")
    assert "nothing is left running" in down.stdout
    assert not alive(pid)
    assert nothing_left(a_floor)


def test_stopping_what_does_not_run_says_so(a_floor: Floor) -> None:
    assert stop(a_floor.settings, print) is False
    a_floor.home.mkdir()
    assert stop(a_floor.settings, print) is False


def test_killed_program_comes_back(a_floor: Floor) -> None:
    first = start(a_floor)
    os.kill(first, signal.SIGKILL)
    assert eventually("Redis is back", lambda: redis(a_floor) not in (None, first))
    rows = {row.name: row for row in gather(a_floor.settings).programs}
    assert rows["redis"].restarts == 1


def test_killed_supervisor_leaves_nothing_and_the_next_start_works(
    a_floor: Floor, alive: Alive
) -> None:
    first = start(a_floor)
    os.kill(a_floor.supervisor_pid(), signal.SIGKILL)
    eventually("Redis ended with it", lambda: not alive(first))
    assert gather(a_floor.settings).up is False
    assert start(a_floor) != first


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_foreground_stops_all_it_started_and_nothing_else(
    a_floor: Floor, alive: Alive, stranger: "subprocess.Popen[bytes]", number: signal.Signals
) -> None:
    run = a_floor.start("run", "--only", "redis")
    pid = eventually("Redis runs", lambda: redis(a_floor))
    # Ctrl-C in a terminal reaches the whole foreground group, so here as well.
    os.killpg(run.pid, number)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 0, output
    assert "stopped; nothing is left running" in output
    assert not alive(pid)
    assert alive(stranger.pid)
    assert nothing_left(a_floor)


def test_killed_foreground_takes_all_with_it(a_floor: Floor, alive: Alive) -> None:
    run = a_floor.start("run", "--only", "redis")
    pid = eventually("Redis runs", lambda: redis(a_floor))
    run.kill()
    run.communicate(timeout=10)
    eventually("all ended", lambda: not alive(pid) and not leftovers(a_floor.home))


def test_stop_from_elsewhere_ends_the_foreground(a_floor: Floor) -> None:
    run = a_floor.start("run", "--only", "redis")
    assert run.stdout is not None
    said = next(line for line in run.stdout if "the floor is up" in line)
    assert stop(a_floor.settings, print)
    rest, _ = run.communicate(timeout=30)
    assert run.returncode == 1
    assert "stopped by another command" in rest
    assert "Traceback" not in said + rest


def test_taken_port_stops_the_start_before_anything_began(a_floor: Floor) -> None:
    port = a_floor.ports["REDIS_PORT"]
    with socket.create_server(("127.0.0.1", port)):
        up = a_floor.floor("up", check=False)
    assert up.returncode == 1
    assert up.stderr.startswith(f"error: port {port} for the embedded Redis is taken by pid ")
    assert "REDIS_PORT" in up.stderr
    assert len(up.stderr.splitlines()) == 1
    assert nothing_left(a_floor)


def test_wrong_setting_is_one_line_and_no_traceback(a_floor: Floor) -> None:
    wrong = Floor(a_floor.home, a_floor.ports, {"SESSION_SECONDS": "soon"})
    up = wrong.floor("up", check=False)
    assert up.returncode == 1
    assert up.stderr.startswith("error: SESSION_SECONDS='soon': ")
    assert len(up.stderr.splitlines()) == 1
    assert not a_floor.home.exists()


@pytest.fixture
def floor_without_recording(tmp_path: Path) -> Iterator[Floor]:
    yield from make_floor(SIM_LIQUIDITY="replay", FLOOR_DATA_DIR=str(tmp_path))


def test_program_that_cannot_start_is_named_and_all_is_stopped(
    floor_without_recording: Floor,
) -> None:
    floor = floor_without_recording
    only = ["simulator", "redis"]
    with pytest.raises(FloorError, match="simulated exchange") as caught:
        begin(floor.settings, foreground=False, tell=lambda _: None, only=only)
    assert "polymarket_btc_15m_book5" in str(caught.value), "in its own words"
    assert "Traceback" not in str(caught.value)
    assert nothing_left(floor)


def test_two_starts_at_once_give_one_floor(a_floor: Floor) -> None:
    both = [a_floor.start("up", "--only", "redis") for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], outputs
    loser = next(out for process, out in zip(both, outputs, strict=True) if process.returncode)
    assert "another command is starting" in loser or "already up" in loser
    servers = [each for each in leftovers(a_floor.home) if each.name() == "redis-server"]
    assert len(servers) == 1


def test_secrets_are_for_their_owner_only(a_floor: Floor) -> None:
    start(a_floor)
    assert a_floor.home.stat().st_mode & 0o077 == 0
    for path in [*(a_floor.home / "logs").iterdir(), a_floor.home / "supervisor.sock"]:
        assert path.stat().st_mode & 0o077 == 0, path
    password = (a_floor.home / "secrets.json").read_text().split('"')[3]
    for process in psutil.process_iter(["cmdline"]):
        assert password not in " ".join(process.info["cmdline"] or [])
