"""Await points: where our code may be suspended, where it was, and dying at one of them.

An await point is a line of an `await`, `async with` or `async for` of the order manager, the
venue's adapter or the journal. `Mortal` is a task factory: it sees every suspension of every task
of a process and kills the process, by SIGKILL, at the one it was told.
"""

import ast
import asyncio
import gc
import json
import os
import signal
from collections.abc import Callable, Coroutine, Generator, Iterator
from functools import cache
from pathlib import Path
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any

ROOT = Path(__file__).parents[2]
WATCHED = (
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "engine").glob("order*.py")),
    "venue/polymarket/client.py",
    "venue/polymarket/session.py",
    "venue/polymarket/limits.py",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "store").glob("journal*.py")),
    "store/backlog.py",
    "store/database.py",
    "store/fills.py",
    "store/wal.py",
)
"""Files whose await points count."""

Point = str
"""``file:line``."""
_Span = tuple[int, int, int, int]


def await_points() -> set[Point]:
    """List every await point of the watched files, from their source."""
    return {f"{name}:{span[0]}" for name, spans in _SPANS.items() for span in spans}


def _span(first: Any, last: Any) -> _Span:
    return first.lineno, first.col_offset, last.end_lineno, last.end_col_offset


def _read_spans(name: str) -> tuple[_Span, ...]:
    """Where awaits stand in a file; of `async with` and `async for` only the header."""
    spans: list[_Span] = []
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.Await):
            spans.append(_span(node, node))
        elif isinstance(node, ast.AsyncFor):
            spans.append(_span(node, node.iter))
        elif isinstance(node, ast.AsyncWith):
            spans.append(_span(node, node.items[-1].context_expr))
        elif isinstance(node, ast.comprehension) and node.is_async:
            spans.append(_span(node.target, node.iter))
    return tuple(spans)


_SPANS = {name: _read_spans(name) for name in WATCHED}
"""Read at once, as the interpreter reads the code: a source may be edited later."""


@cache
def _point(code: CodeType, lasti: int) -> Point | None:
    """The await point at which a frame of `code` is suspended; None outside the watched files."""
    try:
        name = Path(code.co_filename).relative_to(ROOT).as_posix()
    except ValueError:
        return None
    if name not in _SPANS:
        return None
    line, _, column, _ = list(code.co_positions())[lasti // 2]
    if line is None or column is None:
        return None
    around = [s for s in _SPANS[name] if (s[0], s[1]) <= (line, column) < (s[2], s[3])]
    return f"{name}:{max(around)[0]}" if around else None


def _links(awaited: Any) -> Iterator[FrameType]:
    """Frames of a suspended coroutine, outermost first."""
    while awaited is not None:
        for kind, frame, inner in _KINDS:
            if isinstance(awaited, kind):
                if getattr(awaited, frame) is not None:
                    yield getattr(awaited, frame)
                awaited = getattr(awaited, inner)
                break
        else:
            # `anext` and `__await__` wrap what they wait for; only the collector sees through.
            found = [o for o in gc.get_referents(awaited) if isinstance(o, _SUSPENDABLE)]
            awaited = found[0] if found else None


_KINDS = (
    (CoroutineType, "cr_frame", "cr_await"),
    (AsyncGeneratorType, "ag_frame", "ag_await"),
    (GeneratorType, "gi_frame", "gi_yieldfrom"),
)
_SUSPENDABLE = tuple(kind for kind, _, _ in _KINDS)


class Mortal:
    """Counts suspensions in watched code; the process dies at the `at`-th, or at one of `where`.

    Parameters
    ----------
    diary
        File to which a dying process appends, as a line of JSON, where it died and which points
        it had been suspended at before.
    notes
        Whether suspensions are counted from the start; otherwise only once death is near.
    """

    def __init__(
        self, at: int, where: frozenset[Point], diary: Path, *, notes: bool = True
    ) -> None:
        self._notes = notes or at > 0 or bool(where)
        self._at = at
        self._where = where
        self._diary = diary
        self.count = 0
        self.seen: set[Point] = set()
        self.doing = "starting"

    def die_in(self, awaits: int) -> None:
        """Die at the n-th suspension from now."""
        self._notes = True
        self._at = self.count + awaits

    def task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> "asyncio.Task[Any]":
        """The task factory for `loop.set_task_factory`."""
        return asyncio.Task(self._live(work), loop=loop, **options)

    async def _live(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await _Watched(work, self._suspended)

    def _suspended(self, work: Any) -> None:
        if not self._notes:
            return
        chain = [_point(frame.f_code, frame.f_lasti) for frame in _links(work)]
        points = [point for point in chain if point is not None]
        if not points:
            return
        self.count += 1
        if self.count == self._at or not self._where.isdisjoint(points):
            self._die(points)
        self.seen.update(points)

    def _die(self, points: list[Point]) -> None:
        line = {"doing": self.doing, "points": points, "seen": sorted(self.seen)}
        with self._diary.open("a") as diary:
            diary.write(json.dumps(line) + "\n")
        os.kill(os.getpid(), signal.SIGKILL)


class _Watched:
    """Awaits a coroutine and tells of its every suspension."""

    def __init__(self, work: Coroutine[Any, Any, Any], suspended: Callable[[Any], None]) -> None:
        self._work = work
        self._suspended = suspended

    def __await__(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        while True:
            try:
                waits_for = self._work.send(None) if error is None else self._work.throw(error)
            except StopIteration as stop:
                return stop.value
            self._suspended(self._work)
            error = None
            try:
                yield waits_for
            except BaseException as raised:
                error = raised
