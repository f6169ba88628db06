"""A floor of its own for a test: a temporary home, free ports, the real command."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from console.floor import stop
from models.settings import ROOT, Settings, variables

PORTS = ("POSTGRES_PORT", "REDIS_PORT", "PREFECT_PORT", "SIM_PORT")


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def eventually(what: str, condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return the condition's first true value; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    return pytest.fail(f"not within {seconds:.0f} s: {what}")


@dataclass(frozen=True)
class Floor:
    """One floor on this machine, steered as people do."""

    home: Path
    ports: dict[str, int]
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key not in variables()}
        ours = {"FLOOR_HOME": str(self.home), **{key: str(v) for key, v in self.ports.items()}}
        return kept | ours | self.extra | {"TERM": "dumb", "COLUMNS": "200"}

    @property
    def settings(self) -> Settings:
        values = {key.lower(): value for key, value in (self.ports | self.extra).items()}
        return Settings(floor_home=self.home, **values)

    def floor(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        result = subprocess.run(
            [sys.executable, "-m", "console.cli", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        if check:
            assert result.returncode == 0, result.stdout + result.stderr
        return result

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command that stays, in a session of its own as a terminal would."""
        return subprocess.Popen(
            [sys.executable, "-m", "console.cli", *words],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def status(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.floor("status", "--json", check=False).stdout)
        return shown

    def supervisor_pid(self) -> int:
        return int(json.loads((self.home / "floor.json").read_text())["pid"])


def make_floor(**extra: str) -> Iterator[Floor]:
    home = Path(tempfile.mkdtemp(prefix="floor-"))
    floor = Floor(home / "home", dict(zip(PORTS, free_ports(len(PORTS)), strict=True)), extra)
    try:
        yield floor
    finally:
        stop(floor.settings, lambda _: None, drain=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def a_floor() -> Iterator[Floor]:
    yield from make_floor()


@pytest.fixture
def alive() -> Callable[[int], bool]:
    def check(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()

    return check


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is none of the floor's business."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
