"""`floor drill`: strike a running floor on the simulator with real faults, and see what follows."""

import asyncio
import json
import signal
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from console import drill_views as views
from console.drill_kept import keep, newest
from console.local_programs import LocalPrograms
from models.errors import BadValue, ConfigError, NotReady
from models.settings import Settings, TradingMode, load_settings
from tasks.drilling.catalogue import DRILLS, find_drill
from tasks.drilling.plan import MEAN_S, plan
from tasks.drilling.report import DrillReport, DrillResult, utc_now
from tasks.drilling.run import run_drill
from tasks.drilling.scene import Drill
from tasks.drilling.soak import SoakReport, soak
from tasks.drilling.stage import Stage

console = Console()
drill_app = typer.Typer(
    help="Strike a running floor on the simulator with real faults, and see what follows."
)

Found = TypeVar("Found")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs; progress on stderr.")]
Agent = Annotated[
    str, typer.Option("--agent", help="Whom to strike and watch; the busiest when left out.")
]
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", min=1, max=3600, help="How long a fault that lasts stays on."),
]
Times = Annotated[int, typer.Option("--times", min=1, max=1000, help="Repetitions of each.")]
Full = Annotated[bool, typer.Option("--full", help="Faults stay on for their full length.")]


@drill_app.command(name="list")
def list_(as_json: Json = False) -> None:
    """Show every drill: what it does and what is asked of the floor."""
    if as_json:
        print(json.dumps(views.catalogue_json(), indent=2))
    else:
        console.print(views.catalogue())


@drill_app.command(name="all")
def all_(
    agent: Agent = "",
    seconds: Seconds = None,
    times: Times = 1,
    full: Full = False,
    as_json: Json = False,
) -> None:
    """Run every drill, one after the other; the slow ones only with --full."""
    chosen = [drill for drill in DRILLS.values() if full or not drill.slow]
    _exercise(chosen, agent, seconds, times, full, as_json)


@drill_app.command()
def report(as_json: Json = False) -> None:
    """Show what the last exercise found. Exit code 1 where it did not pass."""
    found = newest(load_settings().floor_home)
    _show(found, as_json)
    raise typer.Exit(0 if found.passed else 1)


@drill_app.command(name="soak")
def soak_(
    hours: Annotated[float, typer.Option("--hours", min=0.01, help="How long to go on.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same plan.")] = 1,
    faults: Annotated[
        list[str] | None, typer.Option("--faults", help="Only these drills; repeat it.")
    ] = None,
    mean: Annotated[
        float, typer.Option("--mean", min=1, help="Mean seconds between faults.")
    ] = MEAN_S,
    agent: Agent = "",
    simulated: Annotated[
        bool, typer.Option("--simulated", help="On a simulated clock; needs no running floor.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Strike with random faults for hours; what must hold is looked at all along."""
    if simulated:
        _simulate(hours, seed, as_json)
        return
    settings = _settings()
    chosen = [find_drill(name) for name in faults or ()]
    chosen = chosen or [drill for drill in DRILLS.values() if not drill.slow]
    planned = plan(chosen, hours, seed, mean)

    async def act(stage: Stage) -> SoakReport:
        whom = agent or await busiest(stage)
        return await soak(stage, whom, planned, hours, seed, _teller(as_json))

    found = _on_stage(settings, act)
    keep(settings.floor_home, views.soak_report(found))
    if as_json:
        print(json.dumps(views.soak_json(found), indent=2))
    else:
        console.print(views.soak_table(found))
    raise typer.Exit(0 if found.passed else 1)


def _command(drill: Drill) -> Callable[..., None]:
    def run(
        agent: Agent = "",
        seconds: Seconds = None,
        times: Times = 1,
        full: Full = False,
        as_json: Json = False,
    ) -> None:
        _exercise([drill], agent, seconds, times, full, as_json)

    run.__doc__ = f"{drill.about[0].upper()}{drill.about[1:]}."
    return run


for _each in DRILLS.values():
    drill_app.command(name=_each.name)(_command(_each))


# --- running ------------------------------------------------------------------------------------


def _exercise(
    drills: list[Drill], agent: str, seconds: float | None, times: int, full: bool, as_json: bool
) -> None:
    settings = _settings()
    tell = _teller(as_json)
    began = utc_now()
    results: list[DrillResult] = []

    async def act(stage: Stage) -> None:
        whom = agent or await busiest(stage)
        for drill in drills:
            for number in range(times):
                if times > 1:
                    tell(f"{drill.name}: {number + 1} of {times}")
                results.append(
                    await run_drill(drill, stage, whom, tell, seconds=seconds, full=full)
                )

    fault: BaseException | None = None
    try:
        _on_stage(settings, act)
    except (Exception, KeyboardInterrupt) as error:
        fault = error
    if not results:
        raise fault or BadValue("no drill was run")
    done = DrillReport(began, tuple(results), views.conditions(settings))
    keep(settings.floor_home, done)
    _show(done, as_json)
    if fault is not None:
        raise fault
    raise typer.Exit(0 if done.passed else 1)


def _on_stage(settings: Settings, act: Callable[[Stage], Coroutine[Any, Any, Found]]) -> Found:
    async def on_stage() -> Found:
        async with Stage(settings, LocalPrograms(settings.floor_home)) as stage:
            return await act(stage)

    return _interruptible(on_stage())


def _interruptible(work: Coroutine[Any, Any, Found]) -> Found:
    """Run `work`; SIGINT, SIGTERM and SIGHUP cancel it, so that it restores what it broke.

    Raises
    ------
    KeyboardInterrupt
        It was cancelled and did not end in good order by itself.
    """

    async def guarded() -> Found:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None

    return asyncio.run(guarded())


async def busiest(stage: Stage) -> str:
    """Return the agent that sent most orders of late, or one that could.

    Raises
    ------
    NotReady
        No agent is there to be watched.
    """
    rows = await stage.query(
        "SELECT a.name FROM agents a LEFT JOIN orders o ON o.agent = a.name"
        " AND o.created_at > clock_timestamp() - interval '10 minutes'"
        " WHERE a.enabled AND a.lifecycle <> 'retired'"
        " GROUP BY a.name ORDER BY count(o.order_id) DESC, a.name LIMIT 1"
    )
    if not rows:
        raise NotReady("there is no agent to watch; see `floor agents list`")
    return str(rows[0]["name"])


def _settings() -> Settings:
    """Read the settings of a floor that may be struck.

    Raises
    ------
    ConfigError
        It trades live or on paper.
    NotReady
        It is not up.
    """
    settings = load_settings()
    if settings.trading_mode is not TradingMode.SIM:
        raise ConfigError(
            f"TRADING_MODE={settings.trading_mode}: drills break things on purpose and run on the "
            "simulator only; start a floor with TRADING_MODE=sim"
        )
    LocalPrograms(settings.floor_home)
    return settings


def _simulate(hours: float, seed: int, as_json: bool) -> None:
    # Brings engine, simulator and an embedded Postgres along: nobody else needs them.
    from tasks.drilling.week import run_week

    found = _interruptible(run_week(hours, seed, _teller(as_json)))
    if as_json:
        print(json.dumps(found.facts(), indent=2))
    else:
        console.print(views.week_table(found))
    raise typer.Exit(0 if found.holds else 1)


def _teller(as_json: bool) -> Callable[[str], None]:
    out = Console(stderr=True) if as_json else console
    return lambda text: views.say(out, text)


def _show(found: DrillReport, as_json: bool) -> None:
    if as_json:
        print(json.dumps(views.report_json(found), indent=2))
    else:
        console.print(views.report(found))
