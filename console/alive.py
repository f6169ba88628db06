"""Whether this host's programs run: ``python -m console.alive [NAME…]``, for health checks.

Reads what the launchers wrote down and asks nobody, so that it costs a fraction of a second.
Without names all that was started here must run.
"""

import os
import sys
import time
from pathlib import Path

from console.records import read_floor, read_launch

STARTING_S = 180.0
"""A program may wait this long for what it needs; its launcher gives up after two minutes."""


def ailing(home: Path, names: list[str], now: float | None = None) -> list[str]:
    """Return what does not run here as it should at `now` (epoch seconds), one line each."""
    floor = read_floor(home)
    if not names:
        if floor is None or floor.identity.process() is None:
            return ["nothing was started here"]
        names = floor.programs
    moment = time.time() if now is None else now
    return [f"{name}: {reason}" for name in names if (reason := _reason(home, name, moment))]


def _reason(home: Path, name: str, now: float) -> str:
    launch = read_launch(home, name)
    if launch is None:
        return "was never started"
    if launch.state == "done":
        return ""
    if launch.identity.process() is None:
        return "ended"
    started = launch.starts[-1] if launch.starts else launch.created
    if launch.state == "waiting" and now - started > STARTING_S:
        return launch.note or "waits"
    return ""


def main(arguments: list[str]) -> int:
    home = os.environ.get("FLOOR_HOME")
    if home is None:
        print("FLOOR_HOME is not set", file=sys.stderr)
        return 1
    faults = ailing(Path(home), arguments)
    print("\n".join(faults) or "all run")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
