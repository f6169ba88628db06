"""A second host on this machine: an environment, a network namespace and processes of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from console.leftovers import leftovers, lives
from models.settings import ROOT
from store.urls import urls
from tests.system.harness import Floor
from tests.system.link import Link

ENTER = ("nsenter", "--preserve-credentials", "--user", "--net", "--target")


@cache
def namespaces() -> bool:
    """Whether a host may have a network of its own here, without being root."""
    try:
        made = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--net", "nsenter", "--version"],
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return made.returncode == 0


@dataclass
class Host:
    """Trades for a floor whose servers run elsewhere, by `floor worker`."""

    name: str
    home: Path
    environment: dict[str, str]
    link: Link
    network: "subprocess.Popen[bytes] | None"
    """Keeps the host's network namespace, and its end of the wire."""

    def command(self, *words: str, timeout: float = 600) -> "subprocess.CompletedProcess[str]":
        enter = [] if self.network is None else [*ENTER, str(self.network.pid)]
        return subprocess.run(
            [*enter, sys.executable, "-m", "console.cli", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self) -> None:
        started = self.command("worker", "--background")
        assert started.returncode == 0, started.stdout + started.stderr

    def processes(self) -> list[psutil.Process]:
        return leftovers(self.home)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every process of the host, as near to at once as can be."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """End everything at once, as a pulled plug does; what starts meanwhile as well."""
        while alive := [process for process in self.processes() if lives(process)]:
            for process in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.05)

    def holds(self, holder: str | None) -> bool:
        """Whether `holder` of a lease is a process of this host."""
        return (holder or "").startswith(f"{self.name}-")


@contextlib.contextmanager
def host(
    floor: Floor, name: str, home: Path, more_prefect: Sequence[int] = (), **extra: str
) -> Iterator[Host]:
    """Make a host that reaches nothing but the floor's servers; its processes end with it.

    `more_prefect` are ports of Prefect servers beside the floor's own.
    """
    settings = floor.settings
    ports = {
        settings.postgres_port: [settings.postgres_port],
        settings.redis_port: [settings.redis_port],
        settings.prefect_port: [settings.prefect_port, *more_prefect],
        settings.sim_port: [settings.sim_port],
    }
    # A socket's path is short.
    with contextlib.ExitStack() as stack:
        folder = network = None
        if namespaces():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="net-")))
        link = stack.enter_context(Link(folder, ports))
        if folder is not None:
            network = stack.enter_context(_network(folder))
        outer = {port: link.outer.get(port, port) for port in ports}
        here = Host(name, home, _environment(floor, name, home, outer) | extra, link, network)
        try:
            yield here
        finally:
            link.mend()
            here.kill()


def _environment(floor: Floor, name: str, home: Path, outer: dict[int, int]) -> dict[str, str]:
    settings, addresses = floor.settings, urls(floor.settings)
    database, redis = (
        url.replace(f":{port}/", f":{outer[port]}/")
        for url, port in (
            (addresses.database, settings.postgres_port),
            (addresses.redis, settings.redis_port),
        )
    )
    return floor.environment | {
        "HOST_NAME": name,
        "FLOOR_HOME": str(home),
        "DATABASE_URL": database,
        "REDIS_URL": redis,
        "PREFECT_URL": f"http://127.0.0.1:{outer[settings.prefect_port]}/api",
        "SIM_URL": f"http://127.0.0.1:{outer[settings.sim_port]}",
    }


@contextlib.contextmanager
def _network(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    itself = [sys.executable, "-m", "tests.system.link", str(folder)]
    inside = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--net", *itself],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        deadline = time.monotonic() + 60
        while not (folder / "up").exists():
            assert inside.poll() is None and time.monotonic() < deadline, "no network of its own"
            time.sleep(0.05)
        yield inside
    finally:
        inside.kill()
        inside.wait()
