"""Start one program of the floor: ``python -m console.launch NAME``, run by supervisord.

Waits for what the program needs, then becomes the program (``exec``), so that a signal to the
process id supervisord knows hits the real thing.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from console.environment import HERE, INSTANCE, PROGRAM, SUPERVISED_HOME, child_environment
from console.leftovers import end_earlier
from console.processes import Program, find_program
from console.records import Identity, LaunchRecord, read_launch, write_launch
from console.waits import is_ready
from models.errors import ConfigError, FloorError
from models.settings import ROOT, Settings, load_settings
from store import embedded
from tasks.logs import configure_logs

WRONG_SETTINGS = 78
"""Exit code (EX_CONFIG) of what only a person can mend; supervisord does not try again."""
PATIENCE_S = 120.0
MEMORY_S = 120.0
"""Starts longer ago than this don't count towards the pause before the next."""
LONGEST_PAUSE_S = 15.0
POLL_S = 0.2

log = structlog.get_logger()


def main(arguments: list[str]) -> int:
    configure_logs()
    name = arguments[0] if arguments else ""
    try:
        launch(find_program(name), load_settings())
    except ConfigError as error:
        log.error("wrong_settings", program=name, reason=str(error))
        _note_failure(name, str(error))
        return WRONG_SETTINGS
    except FloorError as error:
        log.error("not_started", program=name, reason=str(error))
        return 1
    return 1


def launch(program: Program, settings: Settings) -> None:
    """Wait, then replace this process by the program. Returns only by raising."""
    home = settings.floor_home
    instance = os.environ.get(INSTANCE, "")
    die_with_parent(signal.Signals[f"SIG{program.stop.signal}"])
    prepare_signals()
    if ended := end_earlier(home, program.name):
        log.warning("ended_leftovers", program=program.name, processes=ended)
    record = first_record(home, program, instance)
    write_launch(home, program.name, record)
    time.sleep(pause_s(record.starts, record.starts[-1]))
    wait_for_needs(program, settings, instance, lambda note: _note(home, program, record, note))
    become(program, settings, replace(record, state="running"))


def become(program: Program, settings: Settings, record: LaunchRecord) -> None:
    """Replace this process by the program, and write down that it runs. Does not return."""
    argv, environment, folder = command(program, settings)
    os.chdir(folder)
    write_launch(settings.floor_home, program.name, record)
    log.info("starting", program=program.name)
    os.execve(argv[0], list(argv), environment)  # noqa: S606 - no shell is wanted


def prepare_signals() -> None:
    """Take every signal as a program expects it.

    A shell's background job starts with some ignored, and exec would hand that on.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def first_record(home: Path, program: Program, instance: str) -> LaunchRecord:
    """Return the record of this start, which remembers the starts shortly before it."""
    now = time.time()
    before = read_launch(home, program.name)
    starts = before.starts if before is not None and before.instance == instance else []
    recent = [start for start in starts if now - MEMORY_S < start <= now]
    me = Identity.of(os.getpid())
    return LaunchRecord(me.pid, me.created, "waiting", instance, starts=[*recent, now][-20:])


def pause_s(starts: list[float], now: float) -> float:
    """Return how long to hold back a start: nothing at first, then 1, 2, 4 … seconds.

    The first restart is prompt: it follows a crash, and somebody waits. Only a program that
    keeps ending is slowed down.
    """
    again = sum(1 for start in starts if now - MEMORY_S < start <= now) - 2
    return 0.0 if again <= 0 else min(LONGEST_PAUSE_S, 2.0 ** (again - 1))


def wait_for_needs(
    program: Program, settings: Settings, instance: str, note: Callable[[str], None]
) -> None:
    """Return once all that `program` needs is ready.

    Raises
    ------
    FloorError
        It is not, after two minutes. supervisord starts the launcher again.
    """
    deadline = time.monotonic() + PATIENCE_S
    here = os.environ[HERE].split(",") if HERE in os.environ else None
    for name in program.needs:
        need = find_program(name)
        told = False
        while not is_ready(need, settings, instance, here):
            if time.monotonic() > deadline:
                raise FloorError(f"{need.about} was not ready after {PATIENCE_S:.0f} s")
            if not told:
                log.info("waiting", program=program.name, needs=name)
                note(f"waits for {need.about}")
                told = True
            time.sleep(POLL_S)


def command(program: Program, settings: Settings) -> tuple[tuple[str, ...], dict[str, str], Path]:
    """Return what to execute: words, environment, folder."""
    if program.command:
        environment = child_environment(settings, server=program.name == "prefect")
        return program.argv(settings), environment, ROOT
    prepare = {"postgres": embedded.prepare_postgres, "redis": embedded.prepare_redis}
    port = program.port_number(settings)
    if program.name not in prepare or port is None:
        raise ConfigError(f"program {program.name!r} has no command and is no embedded server")
    server = prepare[program.name](settings.floor_home, port)
    marks = {key: os.environ[key] for key in (SUPERVISED_HOME, PROGRAM) if key in os.environ}
    return server.argv, {**server.env, **marks}, server.cwd


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send `number` to this process, and what it becomes, when its parent ends.

    Only Linux can; elsewhere the next start of the floor ends what was left.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, int(number), 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        raise FloorError("the supervisor ended while this program started")


def _note(home: Path, program: Program, record: LaunchRecord, note: str) -> None:
    write_launch(home, program.name, replace(record, note=note))


def _note_failure(name: str, reason: str) -> None:
    """Leave the reason where the command that starts the floor looks for it."""
    home, instance = os.environ.get(SUPERVISED_HOME), os.environ.get(INSTANCE, "")
    if home and name:
        me = Identity.of(os.getpid())
        record = LaunchRecord(me.pid, me.created, "failed", instance, note=reason)
        write_launch(Path(home), name, record)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
