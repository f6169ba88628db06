"""Which faults a soak strikes with, and when: drawn from a seed, so that a run can be repeated."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import BadValue
from tasks.drilling.scene import Drill

MEAN_S = 180.0
"""Mean time between faults."""
QUIET_S = 60.0
"""No fault strikes in the beginning: the floor shows first that it trades."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault of a soak: its drill, and when it strikes, in seconds from the beginning."""

    at_s: float
    drill: str
    seconds: float
    """How long it stays on; 0 for a blow."""


def plan(
    drills: Sequence[Drill], hours: float, seed: int, mean_s: float = MEAN_S
) -> tuple[Planned, ...]:
    """Draw the faults of a soak: exponential times between them, each drill equally likely.

    The same drills, hours and seed give the same plan. A lasting fault stays on for between half
    and twice its usual time.

    Raises
    ------
    BadValue
        There are no drills to draw from, or the hours or mean are not above 0.
    """
    if not drills:
        raise BadValue("soak: no fault to strike with; name some with --faults, or leave it out")
    if not 0 < hours <= 24 * 365 or not mean_s > 0:
        raise BadValue(f"soak: {hours!r} hours with a fault every {mean_s!r} s make no plan")
    draw = random.Random(seed)
    found = []
    at_s = QUIET_S + draw.expovariate(1 / mean_s)
    while at_s < hours * 3600:
        drill = draw.choice(list(drills))
        lasts = drill.lasts_s * draw.uniform(0.5, 2.0) if drill.lasts_s else 0.0
        found.append(Planned(round(at_s, 1), drill.name, round(lasts, 1)))
        at_s += draw.expovariate(1 / mean_s)
    return tuple(found)
