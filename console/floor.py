"""Starting and stopping the whole floor on this machine."""

import fcntl
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import Popen

from console.drain import wind_down
from console.environment import (
    HERE,
    INSTANCE,
    SUPERVISED_HOME,
    child_environment,
    prefect_ui_url,
)
from console.launch import die_with_parent
from console.leftovers import end, leftovers
from console.ports import check_ports
from console.processes import Program, wanted_programs
from console.records import (
    FloorRecord,
    Identity,
    LaunchRecord,
    forget,
    read_floor,
    read_launch,
    run_folder,
    write_floor,
)
from console.supervisor import Supervisor, render, socket_path, spawn
from console.waits import is_ready
from models.errors import FloorError, NotReady
from models.settings import Settings

START_SECONDS = 480.0
"""Ten times what an idle machine needs: a busy one is no reason to give up."""
STOP_SECONDS = 60.0
GIVE_UP_STARTS = 3
"""A program that was started this often before it served will not serve."""
POLL_S = 0.25

Say = Callable[[str], None]

_children: dict[int, Popen[bytes]] = {}
"""Supervisors this very process started, to be collected when they end."""


class Interrupted(FloorError):
    """Somebody asked to stop while the floor was starting."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far starting has come."""

    program: Program
    state: str
    """``ready``, or what it does or waits for."""
    seconds: float
    """Since starting began."""

    @property
    def ready(self) -> bool:
        return self.state == "ready"


def running(home: Path) -> FloorRecord | None:
    """Return the floor that runs at `home`, None when there is none."""
    record = read_floor(home)
    return record if record is not None and record.identity.process() is not None else None


def start(
    settings: Settings,
    *,
    foreground: bool,
    tell: Callable[[Progress], None],
    stopped: Callable[[], bool] = lambda: False,
    only: Collection[str] = (),
    worker: bool = False,
) -> FloorRecord:
    """Start everything and return once all of it is ready.

    Parameters
    ----------
    foreground
        The floor ends with this process, however that ends.
    tell
        Is called for every program whenever its state changes.
    stopped
        Asked often; True gives up and stops what was started.
    only
        Names of programs: just these and what they need. All when empty.
    worker
        Just the traders' worker: what it needs runs on another host.

    Raises
    ------
    FloorError
        The floor is up already, a setting, agent file, policy or port is wrong, or a program does
        not come up. Nothing that was started is left running.
    """
    home = settings.floor_home
    programs = wanted_programs(settings, ("traders",) if worker else only, alone=worker)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _one_at_a_time(home):
        refuse_second(settings)
        _check_files(settings)
        end(leftovers(home))
        forget(home)
        check_ports(settings, programs)
        try:
            record = _spawn(settings, programs, foreground, worker)
            _wait_until_ready(settings, programs, record, tell, stopped)
        except BaseException:
            _end_all(home)
            raise
        return record


def stop(settings: Settings, say: Say, *, drain: bool = True) -> bool:
    """Wind the sessions down, then stop everything; False when nothing ran.

    Parameters
    ----------
    drain
        Have the floor's sessions end first, and none start. On a host that only trades the worker
        ends its own sessions, and the floor starts others elsewhere.
    """
    home = settings.floor_home
    if not home.is_dir():
        return False
    with _one_at_a_time(home):
        record = running(home)
        if record is None and not leftovers(home):
            forget(home)
            return False
        if record is not None and record.worker:
            say("leaving the floor: this host's sessions end and go on elsewhere")
        elif drain and record is not None:
            wind_down(settings, say)
        say("stopping all processes")
        _end_all(home)
        return True


def refuse_second(settings: Settings) -> None:
    """Raise `FloorError` saying where the floor is, if it is up."""
    record = running(settings.floor_home)
    if record is None:
        return
    minutes = (time.time() - record.started_at) / 60
    kind = "in another terminal" if record.foreground else "in the background"
    raise FloorError(
        f"the floor is already up {kind} (pid {record.pid}, for {minutes:.0f} min): Prefect UI "
        f"{prefect_ui_url(settings)}; `floor status` shows it, `floor down` stops it"
    )


def _check_files(settings: Settings) -> None:
    # Strategies come with numpy: half a second that `floor status` need not wait.
    from tasks.agent_files import load_agents
    from tasks.policies import load_policies

    load_agents()
    load_policies(settings)


def _spawn(
    settings: Settings, programs: list[Program], foreground: bool, worker: bool
) -> FloorRecord:
    home = settings.floor_home
    shutil.rmtree(home / "tmp", ignore_errors=True)
    for folder in (home / "logs", run_folder(home), home / "prefect", home / "tmp"):
        folder.mkdir(mode=0o700, exist_ok=True)
    instance = secrets.token_hex(8)
    configuration = home / "supervisord.conf"
    configuration.write_text(render(settings, programs, instance), encoding="utf-8")
    socket_path(home).unlink(missing_ok=True)
    environment = child_environment(settings)
    names = [program.name for program in programs]
    environment |= {INSTANCE: instance, SUPERVISED_HOME: str(home), HERE: ",".join(names)}
    process = spawn(
        configuration,
        home / "logs" / "supervisord.out",
        environment,
        (lambda: die_with_parent(signal.SIGTERM)) if foreground else None,
    )
    _children[process.pid] = process
    identity = Identity.of(process.pid)
    record = FloorRecord(
        identity.pid,
        identity.created,
        instance,
        str(socket_path(home)),
        foreground,
        programs=names,
        worker=worker,
    )
    write_floor(home, record)
    return record


def _wait_until_ready(
    settings: Settings,
    programs: list[Program],
    record: FloorRecord,
    tell: Callable[[Progress], None],
    stopped: Callable[[], bool],
) -> None:
    began = time.monotonic()
    waiting = {program.name: Progress(program, "", 0.0) for program in programs}
    while waiting:
        for name, last in list(waiting.items()):
            if stopped():
                raise Interrupted("stopped while starting")
            state = _look(settings, last.program, record)
            if state != last.state:
                seconds = time.monotonic() - began
                waiting[name] = replace(last, state=state, seconds=seconds)
                tell(waiting[name])
            if state == "ready":
                del waiting[name]
        if time.monotonic() - began > START_SECONDS:
            names = ", ".join(waiting)
            raise FloorError(f"not ready after {START_SECONDS:.0f} s: {names}; see `floor logs`")
        time.sleep(POLL_S)


def _look(settings: Settings, program: Program, record: FloorRecord) -> str:
    """Return the state of `program` in words. Raises `FloorError` where it will not come up."""
    home = settings.floor_home
    if record.identity.process() is None:
        raise FloorError(f"supervisord ended: {last_words(home / 'logs' / 'supervisord.out')}")
    launch = read_launch(home, program.name)
    if launch is None or launch.instance != record.instance:
        return "starts"
    if launch.state == "failed":
        raise FloorError(f"{program.about}: {launch.note}")
    if len(launch.starts) >= GIVE_UP_STARTS:
        words = last_words(home / "logs" / f"{program.name}.log")
        raise FloorError(f"{program.about} keeps ending: {words}; see `floor logs {program.name}`")
    # A program that answers could be a stranger's unless ours has reached its port.
    begun = launch.state in ("running", "done")
    if begun and is_ready(program, settings, record.instance, record.programs):
        return "ready"
    return _words(launch, program)


def _words(launch: LaunchRecord, program: Program) -> str:
    if launch.state == "waiting":
        return launch.note or "starts"
    return "works" if program.step else "starts"


def _end_all(home: Path) -> None:
    """Stop everything of the floor at `home`, in order where supervisord still can."""
    record = running(home)
    if record is not None:
        process = record.identity.process()
        try:
            Supervisor(record.socket).shutdown()
        except NotReady:
            if process is not None:
                process.terminate()
        _wait_for_end(record.identity)
    end(leftovers(home))
    forget(home)
    _collect()


def _wait_for_end(identity: Identity) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while identity.process() is not None and time.monotonic() < deadline:
        time.sleep(0.05)


def _collect() -> None:
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            del _children[pid]


def last_words(log: Path, lines: int = 1) -> str:
    """Return the last lines of a log that say something."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")[-4000:]
    except OSError:
        return "it left no log"
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(said[-lines:]) or "it said nothing"


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Hold the lock under which the floor is started and stopped."""
    with (home / "floor.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FloorError(
                "another command is starting or stopping this floor; wait for it"
            ) from None
        yield
