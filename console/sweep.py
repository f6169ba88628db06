"""`floor sweep`: search an agent's parameters over recorded markets, and judge what was found."""

from pathlib import Path
from typing import Annotated

import typer


def sweep(
    file: Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="What to search, and where.")],
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="Most parameter sets a fold.")
    ] = None,
    screen: Annotated[
        int | None,
        typer.Option("--screen", min=1, help="Look at so many sets over bars first."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes; default one a core.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", help="Address of a Dask scheduler, tcp://host:8786.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget what an earlier start of it has done.")
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Show the page in a browser.")] = False,
    prefect: Annotated[
        bool, typer.Option("--prefect", "--via-prefect", help="Have the running floor do it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Search parameters with walk-forward splits; started again, a stopped sweep goes on.

    Exit code 0 when done, 1 when no parameters could be chosen, 2 when something asked for is
    wrong, 130 when stopped (what was finished is kept).
    """
    from console import sweeps

    asked = {"trials": trials, "screen": screen, "workers": workers, "dask": dask}
    raise typer.Exit(
        sweeps.do(file, asked, fresh=fresh, show=show, prefect=prefect, as_json=as_json)
    )
