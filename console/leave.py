"""Taking one host out of a floor of several: its agents go on elsewhere, nothing is halted."""

import signal
import time
from collections.abc import Callable

import psutil

from console.drain import worker_process
from console.leftovers import lives, send
from models.settings import Settings

LEAVE_SECONDS = 20.0
"""A session that is told to end cancels or keeps its orders, writes down what it knows and gives
its lease back; it has ten seconds of its own for that."""
POLL_S = 0.1


def leave(settings: Settings, say: Callable[[str], None]) -> bool:
    """Have this host's sessions end in good order; False where some had to be left running.

    The worker's own way to stop would kill them on the spot. It is frozen first, so that it takes
    none of the runs that follow them: those are for the other hosts.
    """
    worker = worker_process(settings)
    if worker is None:
        return True
    try:
        worker.suspend()
        return _end_sessions(worker.children(), say)
    except psutil.NoSuchProcess:
        return True
    finally:
        # Frozen it could not end by itself. supervisord needs seconds to start the next.
        send(worker, signal.SIGKILL)


def _end_sessions(sessions: list[psutil.Process], say: Callable[[str], None]) -> bool:
    if sessions:
        say(f"leaving the floor: {len(sessions)} sessions end here and go on elsewhere")
    for session in sessions:
        send(session, signal.SIGTERM)
    deadline = time.monotonic() + LEAVE_SECONDS
    while left := [session for session in sessions if lives(session)]:
        if time.monotonic() > deadline:
            say(f"{len(left)} sessions did not end in {LEAVE_SECONDS:.0f} s and are killed")
            return False
        time.sleep(POLL_S)
    return True
