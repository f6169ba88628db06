"""A second process that ends this one when its event loop stops turning.

supervisord restarts what exits and can't see what hangs: a process that was stopped, or whose loop
is blocked, stays as it is for ever. The guardian is a child that hears a byte again and again
through a pipe. Hearing nothing for long it kills its parent, which supervisord then starts again;
hearing the pipe's end, because the parent died, it ends too. It imports next to nothing and needs
no server, so that it works whatever else is away.
"""

import asyncio
import contextlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired

BEATS = 60
"""How often the parent speaks within the longest silence it may keep."""
SILENT_S = 60.0
"""Silence after which the parent is ended, in two halves of which each must be silent: after the
whole machine slept, the parent gets its chance to speak first."""


class Guardian:
    """``async with Guardian(note)``: this process lives on only while its event loop turns.

    Parameters
    ----------
    note
        File that tells the next life why this one was ended; see `read_note`.
    silent_s
        Seconds without a turn of the event loop after which the process is ended.
    """

    def __init__(self, note: Path, silent_s: float = SILENT_S) -> None:
        self._note = note
        self._silent_s = silent_s
        self._child: Popen[bytes] | None = None
        self._beats: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Guardian":
        self._watch()
        self._beats = asyncio.create_task(self._beat(), name="guardian's beat")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._beats is not None:
            self._beats.cancel()
            await asyncio.gather(self._beats, return_exceptions=True)
        if self._child is not None:
            self._close(self._child)

    @property
    def pid(self) -> int:
        """Process id of the guardian itself."""
        assert self._child is not None
        return self._child.pid

    def _watch(self) -> None:
        command = [sys.executable, "-S", __file__, str(os.getpid()), str(self._silent_s)]
        # No shell, and nothing of it comes from outside.
        self._child = Popen([*command, str(self._note)], stdin=PIPE)  # noqa: S603

    async def _beat(self) -> None:
        while True:
            child = self._child
            assert child is not None and child.stdin is not None
            try:
                os.write(child.stdin.fileno(), b".")
            except OSError:
                # It was killed: another takes its place.
                self._close(child)
                self._watch()
            await asyncio.sleep(self._silent_s / BEATS)

    def _close(self, child: "Popen[bytes]") -> None:
        """Let it see the pipe's end, upon which it ends."""
        assert child.stdin is not None
        with contextlib.suppress(OSError):
            child.stdin.close()
        try:
            child.wait(5)
        except TimeoutExpired:
            child.kill()


def read_note(note: Path) -> str:
    """Return why the guardian ended the life before this one, once; empty where it did not."""
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
        note.unlink()
        return str(told["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def guard(parent: int, silent_s: float, note: Path) -> None:
    """Listen until the pipe ends, or end `parent` once it was silent for too long."""
    while True:
        if not _hears(silent_s / 2) and not _hears(silent_s / 2):
            break
        if not os.read(0, 4096):
            return
    if os.getppid() != parent:
        return  # it died, and its id may be another's by now
    reason = f"its event loop did not turn for {silent_s:.0f} s"
    with contextlib.suppress(OSError):
        note.write_text(json.dumps({"reason": reason, "at": time.time()}), encoding="utf-8")
    os.kill(parent, signal.SIGKILL)


def _hears(seconds: float) -> bool:
    ready, _, _ = select.select([0], [], [], seconds)
    return bool(ready)


if __name__ == "__main__":
    # A terminal's Ctrl-C is for the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guard(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
