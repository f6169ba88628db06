"""Names of processes that hold leases, so that another one can tell whether they still live."""

import os
import platform
import signal
import sys
from pathlib import Path

import psutil


def process_name() -> str:
    """Name this process: where it runs, its id, and what tells it from a later one with that id."""
    pid = os.getpid()
    return f"{place()}:{pid}:{birth_of(pid)}"


def is_dead(holder: str) -> bool:
    """Whether `holder` was a process of this very place that is gone for sure."""
    known = _identity(holder)
    return known is not None and birth_of(known[0]) != known[1]


def pid_here(holder: str) -> int | None:
    """Return the id of `holder`'s process while it lives at this very place, else None."""
    known = _identity(holder)
    return known[0] if known is not None and birth_of(known[0]) == known[1] else None


def kill_holder(holder: str) -> bool:
    """End the process `holder` at once; False where it is not of this place, or gone already."""
    known = _identity(holder)
    return known is not None and kill_process(*known)


def kill_process(pid: int, birth: str) -> bool:
    """End the process with this id and birth, and never a later one with its id."""
    try:
        if sys.platform != "linux":
            if birth_of(pid) != birth:
                return False
            os.kill(pid, signal.SIGKILL)
            return True
        held = os.pidfd_open(pid)  # what it names can not become another process any more
        try:
            if birth_of(pid) != birth:
                return False
            signal.pidfd_send_signal(held, signal.SIGKILL)
        finally:
            os.close(held)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _identity(holder: str) -> tuple[int, str] | None:
    """Process id and birth of a holder of this place; None for any other."""
    where, _, identity = holder.partition(":")
    pid, _, birth = identity.partition(":")
    if where != place() or not pid.isdigit() or not birth.isdigit():
        return None
    return int(pid), birth


def place() -> str:
    """Name where this process runs, without colons.

    Host, process namespace and the machine's boot: two containers may share a host's name, never
    its processes, and two machines may both be called localhost. A host that was given a name
    (``HOST_NAME``) is a place of its own, also beside another host on the same machine: what is
    known of a place's processes is known there alone.
    """
    host = os.environ.get("HOST_NAME") or platform.node()
    if sys.platform != "linux":
        return host
    space = "".join(filter(str.isdigit, str(Path("/proc/self/ns/pid").readlink())))
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return f"{host}-{space}-{boot}"


def birth_of(pid: int) -> str | None:
    """When a process began, in ticks no change of the clock can move; None once it is gone."""
    try:
        if sys.platform == "linux":
            state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if state in "ZX" else rest[18]
        process = psutil.Process(pid)
        gone = process.status() == psutil.STATUS_ZOMBIE
        return None if gone else str(int(process.create_time()))
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None
