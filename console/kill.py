"""`floor kill`: the one command that stops everything, with or without a running floor."""

import asyncio
import json
import logging
import sys
import time
from contextlib import suppress
from typing import Annotated

import structlog
import typer
from rich.console import Console

from console.floor import running
from models.settings import Settings, load_settings
from store import risk
from tasks.whoami import whoami

console = Console()


def kill(
    reason: Annotated[
        str, typer.Option("--reason", help="Why; shown wherever the switch is shown.")
    ] = "thrown by hand",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Stop trading at once: cancel every order at the venue, and send nothing more.

    It stays thrown over restarts until `floor risk reset kill`. Exit code 1 while it is not sure
    that no order is open.
    """
    settings = load_settings()
    again = risk.read_kill_file(settings.floor_home) is not None
    throw_at_once(settings, reason)
    # What signs and talks to the venue takes long to import; the switch is thrown by now.
    from tasks.kill import throw

    _logs_aside()

    thrown = asyncio.run(throw(settings, reason, whoami(), fresh=not again))
    up = running(settings.floor_home) is not None
    swept = thrown.swept
    # A simulated venue that is down with its floor lets nobody trade.
    asleep = settings.simulated and not up and swept.left is None
    sure = swept.clean or asleep
    if as_json:
        told = {
            "reason": thrown.kill.reason,
            "by": thrown.kill.by,
            "since_ns": thrown.kill.since_ns,
            "again": again,
            "floor_up": up,
            "cancelled": swept.cancelled,
            "left": swept.left,
            "seconds": round(swept.seconds, 3),
            "venue_faults": dict(swept.faults),
            "postgres": thrown.postgres,
            "redis": thrown.redis,
            "sure": sure,
        }
        print(json.dumps(told, indent=2))
    else:
        for line in lines(again, thrown.kill.reason, up, asleep, sure):
            _say(line)
        if not asleep:
            _say(f"{swept.cancelled} orders cancelled in {swept.seconds:.2f} s{_left(swept.left)}")
        for agent, fault in () if asleep else swept.faults.items():
            _say(f"venue, {agent}: {fault}")
        for store, fault in (("Postgres", thrown.postgres), ("Redis", thrown.redis)):
            if fault:
                _say(f"{store} could not be told, the floor tells it when it is back: {fault}")
    sys.stdout.flush()
    raise typer.Exit(0 if sure else 1)


def throw_at_once(settings: Settings, reason: str) -> None:
    """Write the switch's file, needing nothing else; a disk that is full is `throw`'s matter."""
    kill = risk.Kill(reason, whoami(), time.time_ns())
    with suppress(OSError):
        risk.write_kill_file(settings.floor_home, kill)


def lines(again: bool, reason: str, up: bool, asleep: bool, sure: bool) -> list[str]:
    """What to tell people first."""
    was = "was thrown already" if again else "is thrown"
    told = [f"the kill switch {was}: {reason}; `floor risk reset kill` lifts it"]
    if not up:
        told.append("the floor is not running here; when it is started it will not trade")
    if asleep:
        told.append("the simulated venue is down with it: nothing there can trade")
    elif not sure:
        told.append("NOT SURE that no order is open: run `floor kill` again")
    return told


def _left(left: int | None) -> str:
    if left is None:
        return "; the venue does not say what is open"
    return "; none is open any more" if left == 0 else f"; {left} are still open"


def _logs_aside() -> None:
    """Send what goes wrong to stderr: stdout is the command's answer."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
