"""Names of processes that hold leases, so that another one can tell whether they still live."""

import os
import platform
import sys
from pathlib import Path

import psutil


def process_name() -> str:
    """Name this process: where it runs, its id, and what tells it from a later one with that id."""
    pid = os.getpid()
    return f"{place()}:{pid}:{_birth(pid)}"


def is_dead(holder: str) -> bool:
    """Whether `holder` was a process of this very place that is gone for sure."""
    where, _, identity = holder.partition(":")
    pid, _, birth = identity.partition(":")
    if where != place() or not pid.isdigit() or not birth.isdigit():
        return False
    return _birth(int(pid)) != birth


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


def _birth(pid: int) -> str | None:
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
