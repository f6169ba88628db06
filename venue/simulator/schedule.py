"""What happens next: a queue of deeds by time, so that a still or fast clock changes nothing."""

import heapq
from collections.abc import Callable
from itertools import count

Deed = Callable[[int], None]
"""Called with the nanosecond it was due."""


class Schedule:
    """Runs deeds in the order of their time; equal times in the order they were planned."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Deed]] = []
        self._order = count()
        self._running = False
        self.sooner: Callable[[], None] = lambda: None
        """Called when something was planned that comes before everything else."""
        self.now_ns = 0
        """Time of the deed that runs, or up to which everything has run."""

    def at(self, due_ns: int, deed: Deed) -> None:
        planned = (max(due_ns, self.now_ns), next(self._order), deed)
        heapq.heappush(self._heap, planned)
        if not self._running and self._heap[0] is planned:
            self.sooner()

    def every(self, period_ns: int, deed: Deed) -> None:
        """Run at every multiple of `period_ns`; after a long sleep of the machine only once."""

        def again(due_ns: int) -> None:
            deed(due_ns)
            behind = self._target - due_ns > 900 * period_ns
            base = self._target if behind else due_ns
            self.at(base - base % period_ns + period_ns, again)

        self.at(self.now_ns - self.now_ns % period_ns + period_ns, again)

    def run(self, now_ns: int) -> None:
        """Run everything due up to `now_ns`."""
        self._target = max(now_ns, self.now_ns)
        self._running = True
        try:
            while self._heap and self._heap[0][0] <= self._target:
                due_ns, _, deed = heapq.heappop(self._heap)
                self.now_ns = due_ns
                deed(due_ns)
        finally:
            self._running = False
        self.now_ns = self._target

    _target = 0

    def next_ns(self) -> int | None:
        return self._heap[0][0] if self._heap else None
