"""Ours and every peer that can be installed, side by side on the same events.

    python benchmarks/peers [case …]     once_a_second, every_event, sweep, memory

Every run is a process of its own. All engines of a case take turns for three rounds, so that what
else the machine does meets all of them; the table gives medians. Seconds are those of the run
alone: reading, converting and compiling come before. The cases are:

once_a_second
    One pass, a strategy looks at the book once a simulated second. Rates are events over CPU
    seconds. Ours wakes a Python strategy and reads the tape from a mapped file; hftbacktest has
    a jitted one and its data in memory; vectorbt has no book and no loop, the best prices are
    worked out for it.
every_event
    A Python strategy is called at every event. Ours plays spot prices too, and calls once for
    the rows of one message: its wakes are fewer than its events.
sweep
    Momentum with 1,000 parameter sets over 525,600 bars on two cores, by wall seconds; the
    numbers of entries must be equal. vectorbt trades spot, ours the binary of each window.
memory
    Peak of a process that plays a tape once, for a million rows and for ten million.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments import ROOT, NotInstallable, python_of

HERE = Path(__file__).resolve().parent
ROUNDS = 3
TIMEOUT_S = 600
ROWS = 10_000_000
FEW = 1_000_000


@dataclass(frozen=True)
class Engine:
    """One line of the process table: a script, in the environment of a peer or in ours."""

    name: str
    script: str
    rows: int = ROWS
    peer: str | None = None
    python: str | None = None
    """Version of Python the peer needs, if not ours."""


@dataclass(frozen=True)
class Case:
    title: str
    engines: tuple[Engine, ...]
    by: str = "cpu_s"
    same_orders: bool = False
    """Whether the number of orders must be equal, or it was not the same work."""


OURS = Engine("trading floor", "ours.py")
NAUTILUS = Engine("nautilus_trader 1.231.0", "on_nautilus.py", 300_000, "nautilus", "3.12")
NAUTILUS_OLD = Engine("nautilus_trader 1.221.0", "on_nautilus.py", 300_000, "nautilus")
"""The newest for older Pythons; stands in where Python 3.12 is missing."""
BACKTESTING = Engine("backtesting.py 0.6.6", "on_backtesting.py", 300_000, "backtesting")
VECTORBT = Engine("vectorbt 1.2.0 (rust)", "on_vectorbt.py", peer="vectorbt")
HFTBACKTEST = Engine("hftbacktest 2.4.4", "on_hftbacktest.py", peer="hftbacktest")

CASES = {
    "once_a_second": Case(
        "one pass, a strategy woken once a simulated second",
        (OURS, HFTBACKTEST, VECTORBT, BACKTESTING, NAUTILUS),
    ),
    "every_event": Case(
        "a Python strategy woken at every event",
        (Engine(OURS.name, OURS.script, 2_000_000), BACKTESTING, NAUTILUS),
    ),
    "sweep": Case(
        "momentum, 1,000 parameter sets over 525,600 bars, two cores",
        (OURS, VECTORBT),
        by="wall_s",
        same_orders=True,
    ),
    "memory": Case(
        "peak memory of one pass",
        (Engine("a million rows", OURS.script, FEW), Engine("ten million", OURS.script, ROWS)),
    ),
}


@dataclass
class Runs:
    """What one engine of a case measured, round by round."""

    engine: Engine
    python: Path
    told: list[dict[str, Any]] = field(default_factory=list)

    def median(self, name: str) -> float:
        return statistics.median(one[name] for one in self.told)

    def rate(self, by: str) -> float:
        return statistics.median(one["events"] / one[by] for one in self.told)


def measure(case_name: str, folder: Path) -> bool:
    """Run one case and print its table; False when something failed."""
    case = CASES[case_name]
    print(f"\n{case_name}: {case.title}", flush=True)
    lines, well = [], True
    for engine in case.engines:
        try:
            lines.append(installed(engine))
        except NotInstallable as error:
            print(f"   skipped {engine.name}: {error}", flush=True)
    for _ in range(ROUNDS):
        for line in list(lines):
            try:
                line.told.append(run(line, case_name, folder))
            except (subprocess.SubprocessError, ValueError) as error:
                print(f"   {line.engine.name} failed: {_last_line(error)}", flush=True)
                lines.remove(line)
                well = False
    if lines:
        show(case, lines)
    if case.same_orders and len({line.told[0].get("orders") for line in lines}) > 1:
        print("   the numbers of orders differ: this was not the same work")
        return False
    return well


def installed(engine: Engine) -> Runs:
    """Find the Python of an engine; an older nautilus stands in where it needs another one."""
    if engine.peer is None:
        return Runs(engine, Path(sys.executable))
    try:
        return Runs(engine, python_of(engine.peer, engine.python))
    except NotInstallable as error:
        if engine is not NAUTILUS:
            raise
        print(f"   {engine.name} {error}; {NAUTILUS_OLD.name} stands in", flush=True)
        return Runs(NAUTILUS_OLD, python_of("nautilus"))


def run(line: Runs, case_name: str, folder: Path) -> dict[str, Any]:
    script = str(HERE / line.engine.script)
    command = [str(line.python), script, case_name, str(folder), str(line.engine.rows)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=TIMEOUT_S
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def show(case: Case, lines: Sequence[Runs]) -> None:
    """Print medians, and how many times faster the first line is than each other one."""
    print(
        f"   {'engine':25}{'events':>13}{'wall s':>9}{'CPU s':>9}{'events/s':>15}"
        f"{'peak MB':>9}{'wakes':>10}{'orders':>9}{'fills':>7}   ours is"
    )
    first = lines[0].rate(case.by)
    for line in lines:
        one = line.told[-1]
        times = "" if line is lines[0] else f"{first / line.rate(case.by):.1f} x as fast"
        print(
            f"   {line.engine.name:25}{one['events']:>13,}{line.median('wall_s'):>9.2f}"
            f"{line.median('cpu_s'):>9.2f}{line.rate(case.by):>15,.0f}"
            f"{line.median('peak_mb'):>9.0f}{_count(one, 'wakes'):>10}{_count(one, 'orders'):>9}"
            f"{_count(one, 'fills'):>7}   {times}",
            flush=True,
        )


def _count(told: dict[str, Any], name: str) -> str:
    return f"{told[name]:,}" if name in told else "-"


def _last_line(error: Exception) -> str:
    said = (getattr(error, "stderr", None) or "").strip().splitlines()
    return said[-1] if said else type(error).__name__


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in CASES]
    if unknown:
        print(f"error: no case {unknown[0]!r}; there are: {', '.join(CASES)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = wanted or list(CASES)
        lengths = {e.rows for case in chosen for e in CASES[case].engines if e.peer is None}
        lengths.add(ROWS)
        print(f"   writing {ROWS:,} synthetic rows", flush=True)
        prepare = [sys.executable, str(HERE / "prepare.py"), name, *map(str, sorted(lengths))]
        subprocess.run(prepare, cwd=ROOT, check=True)
        results = [measure(case, folder) for case in chosen]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
