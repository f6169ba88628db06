"""What `floor backtest` does; imported by it alone, as it takes long to import."""

import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from console import run_views
from console.foreground import stop_wish
from console.run_progress import Bar
from models.errors import BadValue, ConfigError, FloorError
from models.runs import RunSpec
from models.settings import Settings, load_settings
from store.results.runs import RUN
from tasks.agent_files import find_agent
from tasks.backtesting import Backtest, Progress, Stopped, portable
from tasks.logs import configure_logs
from tasks.recordings import find_recording
from tasks.spec_files import check_run, load_run

WRONG, STOPPED = 2, 130
"""Exit codes: something asked for is wrong; somebody pressed Ctrl-C."""
CAPITAL_USD = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run, in the command's words; `asked` holds what may also stand in a run file."""

    run: Path | None
    strategy: str | None
    agents: tuple[str, ...]
    parameters: tuple[str, ...]
    asset: str
    timeframe: str
    asked: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Where:
    """Where it runs and what becomes of it."""

    out: Path | None
    overwrite: bool
    show: bool
    prefect: bool
    as_json: bool


def do(wanted: Wanted, where: Where) -> int:
    """Run what is wanted; return the exit code."""
    errors = Console(stderr=True)
    try:
        settings = load_settings()
        # Standard output is for the result; what engines note is for sessions.
        configure_logs("WARNING")
        spec = spec_of(wanted)
        _refuse_out(where.out, where.overwrite)
        if where.prefect:
            return _hand_over(spec, where, settings)
        return _run(spec, where, settings)
    except Stopped:
        run_views.say(errors, "stopped; nothing was saved")
        return STOPPED
    except (ConfigError, BadValue) as error:
        run_views.complain(errors, str(error))
        return WRONG


def spec_of(wanted: Wanted) -> RunSpec:
    """Make the run of a file or of the options, which go before what the file says.

    Raises
    ------
    ConfigError
        Not enough or too much was said, or some of it is wrong; one line a fault.
    """
    asked = {name: value for name, value in wanted.asked.items() if value is not None}
    capital = asked.pop("capital", None)
    if wanted.run is not None:
        if wanted.strategy or wanted.agents or wanted.parameters or capital:
            raise ConfigError(
                "a run file names its agents itself: leave out --strategy, --agent, --param and "
                "--capital, or the file"
            )
        said = load_run(wanted.run).model_dump(mode="json")
        return check_run({**said, **asked}, wanted.run.name)
    if "data" not in asked:
        raise ConfigError("say on what: --data SET_OR_PATH (see `floor data list`), or a run file")
    raw = {**asked, "agents": _agents(wanted, capital)}
    raw["name"] = wanted.strategy or raw["agents"][0]["name"]
    return check_run(raw, "floor backtest")


def _agents(wanted: Wanted, capital: float | None) -> list[dict[str, Any]]:
    if (wanted.strategy is None) == (not wanted.agents):
        raise ConfigError("say who trades: --strategy NAME or --agent NAME, one of them")
    if wanted.strategy is not None:
        return [
            {
                "name": wanted.strategy,
                "strategy": wanted.strategy,
                "markets": [{"asset": wanted.asset, "timeframe": wanted.timeframe}],
                "parameters": parameters_of(wanted.parameters),
                "capital_usd": capital or CAPITAL_USD,
            }
        ]
    if wanted.parameters:
        raise ConfigError("--param goes with --strategy; an agent file has its own parameters")
    changed = {} if capital is None else {"capital_usd": capital}
    return [{**find_agent(name).model_dump(mode="json"), **changed} for name in wanted.agents]


def parameters_of(words: tuple[str, ...]) -> dict[str, Any]:
    """Read ``NAME=VALUE``; values as in YAML. Raises `ConfigError`."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ConfigError(f"--param {word!r}: write NAME=VALUE, as in lookback_s=120")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--param {word!r}: {value!r} is no value") from None
    return found


def _refuse_out(out: Path | None, overwrite: bool) -> None:
    """Refuse a folder that could not be written before the run, not after it."""
    if out is None or not (out.exists() or out.is_symlink()):
        return
    if not overwrite:
        raise BadValue(f"--out {out} exists; choose another name, or add --overwrite")
    if not (out / RUN).is_file():
        raise BadValue(f"--out {out} exists and is no saved run; choose another name")


def _run(spec: RunSpec, where: Where, settings: Settings) -> int:
    with stop_wish() as wish, Bar() as bar:

        def tell(progress: Progress) -> None:
            if wish.asked():
                raise Stopped
            bar.show(progress)

        work = Backtest(spec, settings, tell)
        work.load()
        work.play()
        work.summarise()
        folder = work.save(where.out, overwrite=where.overwrite)
    if where.as_json:
        run_views.print_json(folder, work.summary, work.result)
    else:
        run_views.show_run(Console(), folder, work.summary, work.result)
    if where.show:
        webbrowser.open((folder / "report.html").as_uri())
    return 1 if work.result.failures else 0


def _hand_over(spec: RunSpec, where: Where, settings: Settings) -> int:
    """Start a run of the deployment; the floor's process pool does the work."""
    from console.prefect_runs import start

    if where.show:
        raise ConfigError("--open goes without --prefect: the report is not there yet")
    find_recording(spec.data, settings)
    parameters = {
        "spec": portable(spec, settings).model_dump(mode="json"),
        "out": None if where.out is None else str(where.out.absolute()),
        "overwrite": where.overwrite,
    }
    try:
        link = start(settings, "backtest/backtest", parameters)
    except FloorError as error:
        run_views.complain(Console(stderr=True), str(error))
        return 1
    run_views.say_link(link, where.as_json)
    return 0
