"""`floor risk`: where the floor stands, what it may lose, and what keeps it from trading.

The numbers take numpy and the models behind it; each command imports them for itself.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from console.waits import postgres_ready
from models.errors import ConfigError, NotReady
from models.settings import Settings, load_settings
from models.units import to_cash_e6
from store.database import Database
from store.urls import urls

console = Console()
errors = Console(stderr=True)
risk_app = typer.Typer(help="See limits, breakers and what may be lost; reset what tripped.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Answer = TypeVar("Answer")


@risk_app.command()
def show(as_json: Json = False) -> None:
    """Show policies and how much of each is used, breakers, reservations, VaR and Greeks."""
    from console.risk_views import render, show_json
    from tasks.risk_report import picture

    settings = load_settings()
    seen = with_database(settings, lambda database: picture(settings, database))
    if as_json:
        print(json.dumps(show_json(seen), indent=2))
    else:
        console.print(render(seen))


@risk_app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="A policy file; RISK_FILE when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read a policy file and say what is wrong with it, by file and line. Exit code 2 if it is."""
    from tasks.risk_policies import read_policies

    settings = load_settings()
    path = file or settings.risk_file
    faults: list[str] = []
    found = None
    try:
        found = read_policies(path, to_cash_e6(settings.initial_capital))
    except ConfigError as error:
        faults = str(error).splitlines()
    if as_json:
        told = {
            "file": str(path),
            "faults": faults,
            "policies": [] if found is None else [one.type for one in found.policies],
            "breakers": [] if found is None else [one.name for one in found.breakers],
        }
        print(json.dumps(told, indent=2))
    for fault in [] if as_json else faults:
        errors.print(fault, style="red", markup=False, highlight=False, soft_wrap=True)
    if found is not None and not as_json:
        _say(f"{path.name}: {len(found.policies)} policies and {len(found.breakers)} breakers")
    raise typer.Exit(2 if faults else 0)


@risk_app.command()
def stress(
    scenarios: Annotated[
        Path | None,
        typer.Option("--scenarios", metavar="FILE", help="YAML with scenarios of your own."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="PATH", help="Draw it: a .png, .svg or .pdf.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run scenarios over the open book: what it would be worth, and could still lose."""
    from console.risk_views import stress_json, stress_table
    from risk.stress import SCENARIOS
    from risk.stress import stress as run
    from tasks.risk_book import read_book
    from tasks.risk_plots import plot_stress, read_scenarios

    settings = load_settings()
    wanted = (*SCENARIOS, *(read_scenarios(scenarios) if scenarios else ()))
    found = with_database(settings, read_book)
    results = run(found.book, wanted)
    if plot is not None:
        plot_stress(results, plot)
    if as_json:
        print(json.dumps(stress_json(results, found.assumed), indent=2))
    else:
        console.print(stress_table(results, found))
        if plot is not None:
            _say(f"drawn: {plot}")


@risk_app.command()
def var(as_json: Json = False) -> None:
    """Show value at risk of results and of the open book, and how well the spot model did."""
    from console.risk_views import var_json, var_tables
    from tasks.risk_report import value_at_risk

    found = with_database(load_settings(), lambda database: value_at_risk(database, time.time()))
    if as_json:
        print(json.dumps(var_json(found), indent=2))
    else:
        console.print(var_tables(found))


@risk_app.command()
def reset(
    name: Annotated[
        str, typer.Argument(help="`kill`, or a breaker as `floor risk show` names it.")
    ],
    as_json: Json = False,
) -> None:
    """Lift the kill switch, or close a breaker that tripped; agents start again by themselves."""
    from tasks.kill import reset as reset_kill
    from tasks.risk_reset import reset_breaker
    from tasks.whoami import whoami

    settings = load_settings()
    ready(settings)
    if name == "kill":
        before = asyncio.run(reset_kill(settings, whoami()))
        changed, was = before is not None, "" if before is None else before.reason
    else:
        was = with_database(settings, lambda database: reset_breaker(database, name, whoami()))
        changed = bool(was)
    if as_json:
        print(json.dumps({"name": name, "changed": changed, "was": was}, indent=2))
    elif changed:
        _say(f"{name} is reset; it was: {was}. Agents start again within half a minute")
    else:
        _say(f"{name} is not thrown" if name == "kill" else f"{name} is closed already")


def ready(settings: Settings) -> None:
    """Raise `NotReady` with the mend where Postgres does not answer."""
    if not postgres_ready(urls(settings).database):
        raise NotReady("Postgres does not answer: is the floor running? `floor up` starts it")


def with_database(settings: Settings, action: Callable[[Database], Awaitable[Answer]]) -> Answer:
    """Run something on the floor's database, or say that there is none."""
    ready(settings)

    async def act() -> Answer:
        async with Database(urls(settings).database, max_size=1, timeout_s=3.0) as database:
            return await action(database)

    return asyncio.run(act())


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
