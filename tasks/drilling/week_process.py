"""Child processes of a stage: each has a pipe, and may be killed at any moment."""

import multiprocessing
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

PATIENCE_S = 180.0
"""How long a process may take for anything, on a machine that is busy with other things."""


class Died(Exception):
    """The process was killed."""


class Silent(Exception):
    """The process said nothing, or ended by itself: a defect of the stage."""


@dataclass
class Process:
    """A child and the pipe to it."""

    child: BaseProcess
    pipe: Connection

    @classmethod
    def start(cls, context: ForkServerContext, main: Any, spec: Any) -> "Process":
        ours, theirs = context.Pipe()
        child = context.Process(target=main, args=(theirs, spec), daemon=True)
        child.start()
        theirs.close()
        return cls(child, ours)

    def hear(self) -> Any:
        """What it says next. Raises `Died` where it was killed instead."""
        try:
            if not self.pipe.poll(PATIENCE_S):
                raise Silent(f"process {self.child.pid} said nothing for {PATIENCE_S} s")
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            raise self._ended() from None

    def ask(self, what: Any) -> Any:
        self.tell(what)
        return self.hear()

    def tell(self, what: Any) -> None:
        try:
            self.pipe.send(what)
        except (BrokenPipeError, ConnectionError):
            raise self._ended() from None

    def _ended(self) -> Exception:
        self.child.join(PATIENCE_S)
        if self.child.exitcode == -signal.SIGKILL:
            return Died()
        return Silent(f"process {self.child.pid} ended by {self.child.exitcode}")

    def kill(self) -> None:
        self.child.kill()
        self.child.join(PATIENCE_S)
        self.pipe.close()

    def end(self) -> None:
        """Let it end by itself."""
        self.pipe.close()
        self.child.join(10)
        if self.child.is_alive():
            self.child.kill()
            self.child.join(PATIENCE_S)


def context(preload: str) -> ForkServerContext:
    """Return what starts processes that have the modules `preload` imports already."""
    found: ForkServerContext = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([preload])
    return found
