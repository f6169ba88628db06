"""The floor's local programs, in supervisord's hands: what a drill stops, starts and looks for."""

import time
from pathlib import Path

import psutil

from console.floor import running
from console.records import read_launch
from console.supervisor import Supervisor
from models.errors import NotReady

STOPPING_S = 30.0
"""Postgres may take 20 s to stop before it is killed."""
POLL_S = 0.2


class LocalPrograms:
    """Implements `tasks.drilling.stage.Programs` for the floor at `home`.

    Raises
    ------
    NotReady
        No floor is up there.
    """

    def __init__(self, home: Path) -> None:
        record = running(home)
        if record is None:
            raise NotReady(f"no floor is up at {home}; start it with `floor up`")
        self._home = home
        self._supervisor = Supervisor(record.socket)

    def process(self, name: str) -> psutil.Process | None:
        """Return the process of a program that runs; None while it is down or still waits."""
        record = read_launch(self._home, name)
        if record is None or record.state != "running":
            return None
        return record.identity.process()

    def started(self, name: str) -> float:
        """Return when the program was last started, in seconds since the epoch; 0 for never."""
        record = read_launch(self._home, name)
        return 0.0 if record is None else max(record.starts, default=0.0)

    def stop(self, name: str) -> None:
        self._supervisor.stop_program(name)

    def start(self, name: str) -> None:
        """Start a program again; one that is still stopping is waited for, one that runs is left.

        Raises
        ------
        NotReady
            It does not stop within half a minute, or can't be started.
        """
        deadline = time.monotonic() + STOPPING_S
        # supervisord says yes to starting what still stops, and does nothing.
        while (state := self._state(name)) == "STOPPING":
            if time.monotonic() > deadline:
                raise NotReady(f"{name} did not stop within {STOPPING_S:.0f} s")
            time.sleep(POLL_S)
        if state not in ("STARTING", "RUNNING"):
            self._supervisor.start_program(name)

    def _state(self, name: str) -> str:
        states = {row.name: row.state for row in self._supervisor.states()}
        return states.get(name, "")
