"""The floor's local programs, in supervisord's hands: what a drill stops, starts and looks for."""

from pathlib import Path

import psutil

from console.floor import running
from console.records import read_launch
from console.supervisor import Supervisor
from models.errors import NotReady


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
        self._supervisor.start_program(name)
