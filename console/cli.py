"""The `floor` command: a thin layer over plain functions in this room.

What takes long to import (migrations, the doctor's many parts) is imported by its command alone,
so that the others answer at once.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from console import floor, foreground, logs, view
from console.backtest import backtest
from console.data import data_app
from console.deploy import deploy, deploy_everything
from console.drain import halt
from console.drill import drill_app
from console.kill import kill
from console.parity import parity
from console.risk import risk_app
from console.serve import serve
from console.sim import sim_app
from console.status import as_json, gather
from console.sweep import sweep
from console.worker import worker
from models.errors import FloorError
from models.settings import Settings, load_settings
from store import agents as agent_store
from store import state
from store.database import Database
from store.urls import urls

console = Console()
errors = Console(stderr=True)

app = typer.Typer(
    help="Run and steer the trading floor on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
db_app = typer.Typer(help="Bring the database's tables up to date, or check them.")
agents_app = typer.Typer(help="See, pause and resume agents.")
app.add_typer(db_app, name="db", no_args_is_help=True)
app.add_typer(agents_app, name="agents", no_args_is_help=True)
app.add_typer(sim_app, name="sim", no_args_is_help=True)
app.add_typer(data_app, name="data", no_args_is_help=True)
app.add_typer(risk_app, name="risk", no_args_is_help=True)
app.add_typer(drill_app, name="drill", no_args_is_help=True)
app.command()(worker)
app.command()(serve)
app.command()(kill)
app.command()(deploy)
app.command()(backtest)
app.command()(parity)
app.command()(sweep)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="NAME", help="Just this process and what it needs; repeat it."),
]
Agent = Annotated[str, typer.Argument(help="Name of the agent, as in deployments/agents.")]


def main() -> None:
    """Run a command; an error of ours is one line on stderr and exit code 1."""
    # The pool logs every attempt it makes; the error that follows says it once.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    try:
        app()
    except FloorError as error:
        for line in str(error).splitlines():
            errors.print(
                f"error: {line}", style="red", markup=False, highlight=False, soft_wrap=True
            )
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


@app.command()
def run(only: Only = None) -> None:
    """Start everything and stay: progress, then a live table. Ctrl-C stops it all again."""
    raise typer.Exit(foreground.run(load_settings(), console, only or ()))


@app.command()
def up(only: Only = None) -> None:
    """Start everything in the background."""
    settings = load_settings()
    with foreground.stop_wish() as wish, foreground.progress(console) as tell:
        floor.start(settings, foreground=False, tell=tell, stopped=wish.asked, only=only or ())
    foreground.welcome(settings, console)
    _say("`floor status` shows it, `floor down` stops it")


@app.command()
def down(
    now: Annotated[
        bool, typer.Option("--now", help="Do not wait for sessions to cancel their orders.")
    ] = False,
) -> None:
    """Wind the sessions down (they cancel their orders), then stop everything."""
    stopped = floor.stop(load_settings(), _say, drain=not now)
    _say("stopped; nothing is left running" if stopped else "the floor is not running")


@app.command()
def status(
    as_json_: Json = False,
) -> None:
    """Show the processes and the agents once. Exit code 1 when the floor is not running."""
    seen = gather(load_settings())
    if as_json_:
        print(json.dumps(as_json(seen), indent=2))
    else:
        console.print(view.render(seen))
    raise typer.Exit(0 if seen.up else 1)


@app.command(name="logs")
def logs_(
    name: Annotated[
        str | None, typer.Argument(help="One process (see `floor status`); all when left out.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Last lines to show.")] = 20,
) -> None:
    """Show the last lines of the processes' logs."""
    files = logs.log_files(load_settings().floor_home, name)
    width = max(map(len, files)) if len(files) > 1 else 0
    for each, path in files.items():
        for line in logs.last_lines(path, lines):
            _log_line(each, line, width)
    if follow:
        with foreground.stop_wish() as wish:
            for each, line in logs.follow(files, wish.asked):
                _log_line(each, line, width)


@app.command()
def doctor(as_json_: Json = False) -> None:
    """Check every part and say how to mend what is wrong. Exit code 1 if anything fails."""
    from console.doctor import diagnose, diagnosis_table

    findings = diagnose()
    if as_json_:
        print(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        console.print(diagnosis_table(findings))
    raise typer.Exit(1 if any(finding.failed for finding in findings) else 0)


@app.command()
def drain(
    reason: Annotated[
        str, typer.Option("--reason", help="Shown wherever the floor is shown as halted.")
    ] = "drained by hand",
    seconds: Annotated[float, typer.Option("--wait", min=0, help="Most seconds to wait.")] = 60.0,
    off: Annotated[bool, typer.Option("--off", help="Lift the halt: agents start again.")] = False,
) -> None:
    """Halt the floor: sessions cancel their orders and end; none starts until `drain --off`."""
    settings = load_settings()
    if off:
        _with_database(settings, state.clear_halt)
        _say("the halt is lifted; agents start within half a minute")
        return
    if not halt(settings, reason, seconds, _say):
        raise FloorError(f"not all sessions ended in {seconds:.0f} s; the floor stays halted")
    _say("no session runs any more; `floor drain --off` lifts the halt")


@db_app.command()
def upgrade(revision: Annotated[str, typer.Argument()] = "head") -> None:
    """Bring the tables up to a revision (the newest when left out)."""
    from store import schema

    schema.upgrade(urls(load_settings()).database, revision)
    _say(f"the database is at {revision}")


@db_app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="A revision; `base` removes every table.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: data may be lost.")] = False,
) -> None:
    """Bring the tables down to a revision. Data of removed tables and columns is lost."""
    if not yes:
        typer.confirm(f"Downgrade to {revision}? Data may be lost", abort=True)
    from store import schema

    schema.downgrade(urls(load_settings()).database, revision)
    _say(f"the database is at {revision}")


@db_app.command()
def check() -> None:
    """Check that the tables are those of the code. Exit code 1 if they differ."""
    from store import schema

    differences = schema.check(urls(load_settings()).database)
    if differences:
        raise FloorError("\n".join(["the tables differ (`floor db upgrade`):", *differences]))
    _say("the tables agree with the code")


@agents_app.command(name="list")
def agents_list(as_json_: Json = False) -> None:
    """Show every agent."""
    seen = gather(load_settings())
    if seen.agents_unknown:
        raise FloorError(f"agents can't be read: {seen.agents_unknown}")
    if as_json_:
        print(json.dumps(as_json(seen)["agents"], indent=2))
    else:
        console.print(view.agents_table(seen.agents))


@agents_app.command(name="sync")
def agents_sync() -> None:
    """Give every agent file its deployment in prefect.yaml, and deploy what is new."""
    from tasks.agent_files import load_agents
    from tasks.prefect_file import sync_prefect_file

    agents = load_agents()
    changed = sync_prefect_file(agents)
    _say("prefect.yaml was brought in step" if changed else "prefect.yaml is in step")
    settings = load_settings()
    if floor.running(settings.floor_home) is not None:
        deploy_everything(settings)
        _say(f"deployed: {', '.join(agents)}; supervise starts them within half a minute")


@agents_app.command()
def pause(
    name: Agent,
    reason: Annotated[str, typer.Option("--reason", help="Why, for others.")] = "paused by hand",
) -> None:
    """Hold an agent: its session cancels its orders and ends; none starts until `resume`."""
    _with_database(load_settings(), lambda db: agent_store.pause(db, name, reason))
    _say(f"{name} is paused; `floor agents resume {name}` starts it again")


@agents_app.command()
def resume(name: Agent) -> None:
    """End an agent's pause; supervise starts its next session within half a minute."""
    _with_database(load_settings(), lambda db: agent_store.resume(db, name))
    _say(f"{name} may trade again")


def _with_database(settings: Settings, action: Callable[[Database], Awaitable[Any]]) -> Any:
    async def act() -> Any:
        async with Database(urls(settings).database, max_size=1, timeout_s=3.0) as database:
            return await action(database)

    return asyncio.run(act())


def _log_line(name: str, line: str, width: int) -> None:
    print(f"{name:<{width}}  {line}" if width else line, flush=True)


def _say(text: str) -> None:
    foreground.say(console, text)


if __name__ == "__main__":
    main()
