"""Closing a breaker by hand."""

import time

from models.errors import BadValue
from risk.breaker_rules import Rules
from risk.guard import Board
from store import audit, risk
from store.database import Database
from store.events import record_event


async def reset_breaker(database: Database, name: str, by: str) -> str:
    """Close a breaker; returns why it had tripped, empty where it was closed already.

    Raises
    ------
    BadValue
        No breaker of this name ever tripped; the message names those that are open.
    """
    board = Board(Rules())
    board.load(await risk.breaker_rows(database))
    if name not in board.breakers:
        there = ", ".join(board.open()) or "none is"
        raise BadValue(f"no breaker {name!r} has tripped; open now: {there}")
    was = board.breakers[name].state.reason
    change = board.reset(name, by, time.time_ns())
    if change is None:
        return ""
    await risk.save_breaker(database, name, board.row(name))
    detail = {"breaker": name, "before": change.before, "after": "closed", "by": by, "was": was}
    await record_event(database, "breaker_reset", detail)
    await audit.append(database, by, "breaker_reset", name, detail)
    return was or "tripped"
