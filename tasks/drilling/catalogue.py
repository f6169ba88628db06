"""Every drill by name, in the order `all` runs them."""

from models.errors import BadValue
from tasks.drilling import planned, services, traders, venue_faults
from tasks.drilling.scene import Drill

DRILLS: dict[str, Drill] = {
    drill.name: drill
    for drill in (
        *traders.DRILLS,
        *services.DRILLS,
        *venue_faults.DRILLS,
        *planned.DRILLS,
    )
}

NOT_HERE = {
    "dns": "a running process' resolver can't be broken from outside without root; tested by "
    "`tasks/test_session_clock.py::test_a_name_that_cannot_be_resolved_is_a_venue_away`",
    "clock-jump": "the machine's clock can't be moved for one process from outside; tested by "
    "`tasks/test_session_clock.py::test_a_jump_suspends_until_the_venue_has_told_its_time`",
}
"""Faults that only a test can make: why, and which test does."""


def find_drill(name: str) -> Drill:
    """Return a drill. Raises `BadValue` naming those there are."""
    if name in NOT_HERE:
        raise BadValue(f"{name} is no drill: {NOT_HERE[name]}")
    if name not in DRILLS:
        raise BadValue(f"no drill {name!r}; there are: {', '.join(DRILLS)}")
    return DRILLS[name]
