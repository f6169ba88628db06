"""`floor parity`: play recorded sessions again through the backtester and compare."""

import json
import logging
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

Recordings = Annotated[
    list[Path],
    typer.Argument(metavar="RECORDING...", help="Files of RECORD_SESSIONS; below FLOOR_HOME."),
]


def parity(
    recordings: Recordings,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Play recorded sessions again: are decisions and orders the same, and the fills explained?

    Exit code 0 when they are, 1 when anything differs.
    """
    from tasks.parity import as_dict, faults, parity_of, table

    # The engine logs what it does as if it were live; here that would only be noise.
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)
    found = [parity_of(path) for path in recordings]
    if as_json:
        print(json.dumps([as_dict(one) for one in found], indent=2))
    else:
        Console().print(table(found), highlight=False, markup=False, soft_wrap=True)
        for one in found:
            for text in faults(one):
                Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(0 if all(one.holds for one in found) else 1)
