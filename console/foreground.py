"""`floor run`: start, show a live table, and stop everything again on Ctrl-C or SIGTERM."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rich.console import Console
from rich.live import Live

from console import floor, view
from console.floor import Progress
from console.records import FloorRecord, read_floor
from console.status import gather
from models.errors import FloorError
from models.settings import Settings

REFRESH_S = 3.0
PLAIN_REFRESH_S = 60.0
"""Without a terminal, the agents' lines come this often."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wish:
    """Whether somebody asked to stop, and how often."""

    def __init__(self) -> None:
        self.times = 0
        self._asked = threading.Event()

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        self.times += 1
        self._asked.set()

    def asked(self) -> bool:
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        return self._asked.wait(seconds)


@contextmanager
def stop_wish() -> Iterator[Wish]:
    """Turn the signals that end a program into a wish, also where a shell made it ignore them."""
    wish = Wish()
    before = {number: signal.signal(number, wish.ask) for number in SIGNALS}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    settings: Settings, console: Console, only: Collection[str] = (), *, worker: bool = False
) -> int:
    """Run the floor, or just its `worker` here, until asked to stop; returns the exit code."""
    floor.refuse_second(settings)
    with stop_wish() as wish:
        what = "a worker of the floor" if worker else "the floor"
        say(console, f"starting {what} in {settings.floor_home} (mode {settings.trading_mode})")
        try:
            with progress(console) as tell:
                record = floor.start(
                    settings,
                    foreground=True,
                    tell=tell,
                    stopped=wish.asked,
                    only=only,
                    worker=worker,
                )
        except floor.Interrupted:
            say(console, "stopped; nothing is left running")
            return 0
        welcome(settings, console)
        try:
            ended = _show(settings, console, record, wish)
        finally:
            if floor.running(settings.floor_home) == record:
                # A second Ctrl-C does not wait for the sessions.
                drain = wish.times < 2
                floor.stop(settings, lambda text: say(console, text), drain=drain)
        if ended:
            raise FloorError(ended)
        say(console, "stopped; nothing is left running")
        return 0


def _show(settings: Settings, console: Console, record: FloorRecord, wish: Wish) -> str:
    """Show the status until asked to stop; returns why the floor ended by itself, if it did."""
    show = _live if console.is_terminal else _plain
    return show(settings, console, record, wish)


def _live(settings: Settings, console: Console, record: FloorRecord, wish: Wish) -> str:
    hint = "Ctrl-C stops the floor"
    with Live(console=console, auto_refresh=False, screen=False) as live:
        while not wish.asked():
            if reason := _gone(settings, record):
                return reason
            live.update(view.render(gather(settings), hint=hint), refresh=True)
            wish.wait(REFRESH_S)
    return ""


def _plain(settings: Settings, console: Console, record: FloorRecord, wish: Wish) -> str:
    due = time.monotonic()
    while not wish.asked():
        if reason := _gone(settings, record):
            return reason
        if time.monotonic() >= due:
            for line in view.plain_lines(gather(settings)):
                say(console, line)
            due = time.monotonic() + PLAIN_REFRESH_S
        wish.wait(1.0)
    return ""


def _gone(settings: Settings, record: FloorRecord) -> str:
    if record.identity.process() is not None:
        return ""
    if read_floor(settings.floor_home) is None:
        return "the floor was stopped by another command"
    floor.stop(settings, lambda _: None, drain=False)
    return "supervisord ended unexpectedly; all processes were stopped"


@contextmanager
def progress(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Show how starting goes: a live table in a terminal, else one line for each that is ready."""
    steps: dict[str, Progress] = {}
    if not console.is_terminal:
        yield lambda step: say(console, view.progress_line(step)) if step.ready else None
        return
    with Live(console=console, refresh_per_second=4) as live:

        def show(step: Progress) -> None:
            steps[step.program.name] = step
            live.update(view.progress_table(steps.values()))

        yield show


def welcome(settings: Settings, console: Console) -> None:
    """Say where everything is, once it is up."""
    status = gather(settings)
    say(console, f"the floor is up in mode {status.mode}")
    runs = {row.name for row in status.programs if row.state == "running"}
    if "prefect" in runs:
        say(console, f"Prefect UI: {status.prefect_ui}")
    if "simulator" in runs:
        say(console, f"liquidity: {view.liquidity(status)}")


def say(console: Console, text: str) -> None:
    # Stopping must go on when the terminal is gone.
    with suppress(OSError):
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        sys.stdout.flush()
