"""`floor worker`: trade on this host for a floor whose servers run elsewhere."""

from typing import Annotated

import typer
from rich.console import Console

from console import floor, foreground
from models.settings import Settings, load_settings

console = Console()

Background = Annotated[
    bool, typer.Option("--background", "-b", help="Return once it runs; `floor down` ends it.")
]


def worker(background: Background = False) -> None:
    """Join a floor as one more host: run its agents' sessions here, and nothing else.

    DATABASE_URL, REDIS_URL and PREFECT_URL (and SIM_URL, unless live) name the floor's servers.
    Ctrl-C, SIGTERM and `floor down` hand this host's agents to the other hosts.
    """
    settings = load_settings()
    if not background:
        _check(settings)
        raise typer.Exit(foreground.run(settings, console, worker=True))
    start(settings)
    foreground.say(console, "`floor status` shows it, `floor down` takes this host out again")


def start(settings: Settings) -> None:
    """Start the worker in the background and return once it runs.

    Raises
    ------
    FloorError
        A server is away or of another version, a setting is wrong, or something runs here already.
    """
    _check(settings)
    with foreground.stop_wish() as wish, foreground.progress(console) as tell:
        floor.start(settings, foreground=False, tell=tell, stopped=wish.asked, worker=True)
    foreground.welcome(settings, console)


def _check(settings: Settings) -> None:
    # Agents' strategies come with numpy, which no other command should wait for.
    from console import joining

    floor.refuse_second(settings)
    joining.check(settings)
    for line in joining.book_leftovers(settings):
        foreground.say(console, line)
