"""What a drill does to processes: real signals and real limits, each with its way back.

Everything here is the operating system's own; nothing in the product knows that it is a drill.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from models.errors import FloorError, NotReady
from models.settings import ROOT

Undo = Callable[[], None]

_SEIZE, _INTERRUPT = 0x4206, 0x4207
_WALL = 0x40000000
_WAITING_CALLS = frozenset({232, 281, 22, 441})
"""epoll_wait, epoll_pwait and epoll_pwait2: what an event loop does when it holds no lock."""


class CannotHarm(FloorError):
    """This system does not allow the fault; the drill says so instead of guessing."""


def family(process: psutil.Process) -> list[psutil.Process]:
    """Return the process and all below it."""
    with suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return []


def kill(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL them all, as fast as one process can."""
    for process in list(processes):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def freeze(processes: Iterable[psutil.Process]) -> Undo:
    """SIGSTOP them; the way back is SIGCONT for those that still live."""
    stopped = []
    for process in list(processes):
        with suppress(psutil.NoSuchProcess):
            process.suspend()
            stopped.append(process)

    def thaw() -> None:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    return thaw


def limit(process: psutil.Process, resource: int, most: int) -> Undo:
    """Lower a limit (``psutil.RLIMIT_…``) of a running process; the way back is what it had.

    Raises
    ------
    CannotHarm
        The system has no such call, or forbids it.
    """
    if not hasattr(process, "rlimit"):
        raise CannotHarm(f"limits of another process can't be set on {sys.platform}")
    try:
        soft, hard = process.rlimit(resource)
        process.rlimit(resource, (most, hard))
    except psutil.AccessDenied:
        raise CannotHarm(f"this user may not set limits of process {process.pid}") from None
    except psutil.NoSuchProcess:
        raise NotReady(f"process {process.pid} ended before the drill reached it") from None

    def restore() -> None:
        with suppress(psutil.Error, OSError):
            process.rlimit(resource, (soft, hard))

    return restore


def hang(process: psutil.Process) -> Undo:
    """Stop the main thread of a process, and only that: its event loop hangs, its others run.

    A helper process holds the thread by ptrace; when it ends, by whatever cause, the kernel lets
    the thread go.

    Raises
    ------
    CannotHarm
        Not on Linux, or ptrace is forbidden here (``kernel.yama.ptrace_scope``, a container).
    """
    helper = subprocess.Popen(  # noqa: S603 - our own module, an id of a process
        [sys.executable, "-m", "tasks.drilling.harm", str(process.pid)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert helper.stdout is not None
    word = helper.stdout.readline().strip()

    def let_go() -> None:
        helper.kill()
        helper.communicate()

    if word != "holding":
        let_go()
        raise CannotHarm(f"the main thread of {process.pid} can't be stopped: {word or 'no word'}")
    return let_go


def _hold(pid: int) -> str:
    """Stop the main thread of `pid` while it waits for events; returns why not, if so."""
    if sys.platform != "linux":
        return f"there is no ptrace of one thread on {sys.platform}"
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    for _ in range(200):
        if libc.ptrace(_SEIZE, pid, None, None) < 0:
            return os.strerror(ctypes.get_errno())
        if libc.ptrace(_INTERRUPT, pid, None, None) < 0:
            return os.strerror(ctypes.get_errno())
        os.waitpid(pid, _WALL)
        # Stopped while it holds the interpreter's lock it would take its other threads along.
        call = Path(f"/proc/{pid}/task/{pid}/syscall").read_text().split()[0]
        if call.isdigit() and int(call) in _WAITING_CALLS:
            return ""
        libc.ptrace(17, pid, None, None)  # PTRACE_DETACH
    return "it never waited for events"


def main() -> None:
    """Hold the main thread of the process named on the command line until it or this one ends."""
    pid = int(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    why_not = _hold(pid)
    print(why_not or "holding", flush=True)  # noqa: T201 - the word the drill waits for
    # Its end must be collected here first, or its own parent would never hear of it.
    while not why_not:
        _, status = os.waitpid(pid, _WALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return


if __name__ == "__main__":
    main()
