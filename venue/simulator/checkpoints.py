"""Folds the simulator's write-ahead log into its database, beside the loop that answers clients.

SQLite otherwise does it in the commit that makes the log a thousand pages long: a pause of several
milliseconds for whoever is answered after it, a few times a second while many trade. One pause
remains that no thread can take over, as the first commit to a fresh log waits for the disk; so the
log is left to grow long before it is folded in.
"""

import sqlite3
import threading
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)
LOOK_S = 1.0
MANY_ROWS = 20_000
"""Rows after which the log is folded in: some 50 MB where every one is another order's."""


class Checkpoints:
    """A thread with a connection of its own.

    Parameters
    ----------
    path
        The database, already in WAL mode. What is committed there is durable with or without
        this thread; when it fails the log only grows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="simulator-checkpoints", daemon=True)
        self._thread.start()

    def note(self, rows: int) -> None:
        """So many rows were committed."""
        self._rows += rows

    def close(self) -> None:
        """Stop and wait; the last connection to close folds in what is left."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(LOOK_S):
            if self._rows < MANY_ROWS:
                continue
            self._rows = 0
            try:
                self.fold()
            except sqlite3.Error as error:
                log.warning("simulator_checkpoint_failed", error=str(error))

    def fold(self) -> None:
        """Fold the log in as far as its writer lets, without making it wait."""
        database = sqlite3.connect(self._path, isolation_level=None)
        try:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            database.close()
