"""Which of two writes is the later one, whatever the clocks say.

A write's version is the token of the lease it was made under and a number that grows with every
write of the process. Tokens grow with every grant, so versions order all writes of an agent, of
all its sessions on all hosts.
"""

import threading
import time
from typing import NamedTuple


class Version(NamedTuple):
    """Compares as it should: by token first."""

    token: int
    seq: int


_lock = threading.Lock()
_last = 0


def next_seq() -> int:
    """Return a number above every earlier one of this process, and of dead ones of this boot.

    Nanoseconds since the host started: no step of the wall clock moves them.
    """
    global _last
    with _lock:
        _last = max(_last + 1, time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        return _last
