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
    "dns": "a running process' resolver can't be broken from outside without root",
    "clock-jump": "the machine's clock can't be moved for one process from outside",
}
"""Faults that only a test can make, and why."""


def find_drill(name: str) -> Drill:
    """Return a drill. Raises `BadValue` naming those there are."""
    if name in NOT_HERE:
        raise BadValue(f"{name} is no drill: {NOT_HERE[name]}; `floor drill list` names its test")
    if name not in DRILLS:
        raise BadValue(f"no drill {name!r}; there are: {', '.join(DRILLS)}")
    return DRILLS[name]
