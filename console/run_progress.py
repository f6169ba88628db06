"""Progress of a backtest or a sweep in the terminal; nothing where nobody watches."""

from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from models.units import SECOND_NS
from tasks.backtesting import Progress as Reached


class Bar:
    """One bar on stderr for all steps: done, rate, time to go, and the time in the recording."""

    def __init__(self) -> None:
        errors = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
            console=errors, transient=True, disable=not errors.is_terminal,
        )  # fmt: skip
        self._step = ""
        self._task: TaskID | None = None

    def show(self, reached: Reached) -> None:
        """Show how far a step has come; a new step begins a new bar."""
        if reached.step != self._step or self._task is None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._step = reached.step
            self._task = self._bar.add_task(reached.step, total=None, note="")
        self._bar.update(
            self._task, completed=reached.done, total=reached.total or None,
            note=self._note(reached),
        )  # fmt: skip

    def _note(self, reached: Reached) -> str:
        if not reached.total:
            return ""
        speed = next(task.speed for task in self._bar.tasks if task.id == self._task)
        rate = "" if speed is None else f"  {_short(speed)}/s"
        when = "" if reached.at_ns is None else f"  {moment(reached.at_ns)}"
        note = f"  {reached.note}" if reached.note else ""
        return f"{reached.done:,} of {reached.total:,} {reached.unit}{rate}{when}{note}"

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


def moment(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // SECOND_NS, UTC):%Y-%m-%d %H:%M}"


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f} {letter}"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
