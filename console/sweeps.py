"""What `floor sweep` does; imported by it alone, as it takes long to import."""

import json
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from console import run_views
from console.backtests import STOPPED, WRONG
from console.foreground import stop_wish
from console.run_progress import Bar
from models.errors import BadValue, ConfigError, FloorError
from models.runs import SweepSpec
from models.settings import Settings, load_settings
from models.sweeps import SweepResult, TrialEnd
from tasks.backtesting import Stopped, portable
from tasks.logs import configure_logs
from tasks.report.words import moment, percent, ratio, usd
from tasks.spec_files import check_sweep, load_sweep
from tasks.sweeping.keep import REPORT
from tasks.sweeping.page import parameters_text, warnings
from tasks.sweeping.run import Saved, Sweep


def do(
    file: Path, asked: Mapping[str, Any], *, fresh: bool, show: bool, prefect: bool, as_json: bool
) -> int:
    """Sweep what the file says, the options going before it; return the exit code."""
    errors = Console(stderr=True)
    try:
        settings = load_settings()
        # Standard output is for the result; what engines note is for sessions.
        configure_logs("WARNING")
        spec = _spec(file, asked)
        if prefect:
            return _hand_over(spec, settings, fresh, as_json)
        saved = _run(spec, settings, fresh)
    except Stopped:
        run_views.say(errors, "stopped; the same command goes on from what was finished")
        return STOPPED
    except (ConfigError, BadValue) as error:
        run_views.complain(errors, str(error))
        return WRONG
    if as_json:
        _print_json(saved)
    else:
        _show(Console(), saved)
    if show:
        webbrowser.open((saved.folder / REPORT).as_uri())
    return 0 if all(fold.chosen is not None for fold in saved.result.folds) else 1


def _spec(file: Path, asked: Mapping[str, Any]) -> SweepSpec:
    spec = load_sweep(file)
    changes = {name: value for name, value in asked.items() if value is not None}
    if not changes:
        return spec
    return check_sweep({**spec.model_dump(mode="json"), **changes}, file.name)


def _run(spec: SweepSpec, settings: Settings, fresh: bool) -> Saved:
    with stop_wish() as wish, Bar() as bar:
        return Sweep(spec, settings, bar.show, fresh=fresh, stopped=wish.asked).run()


def _hand_over(spec: SweepSpec, settings: Settings, fresh: bool, as_json: bool) -> int:
    from console.prefect_runs import start

    whole = spec.model_copy(update={"run": portable(spec.run, settings)})
    parameters = {"spec": whole.model_dump(mode="json"), "fresh": fresh}
    try:
        link = start(settings, "sweep/sweep", parameters)
    except FloorError as error:
        run_views.complain(Console(stderr=True), str(error))
        return 1
    run_views.say_link(link, as_json)
    return 0


def _show(console: Console, saved: Saved) -> None:
    result = saved.result
    tried = sum(fold.tried for fold in result.folds)
    failed = sum(trial.end is TrialEnd.FAILED for trial in result.trials)
    known = f", {saved.resumed:,} known from before" if saved.resumed else ""
    run_views.say(
        console, f"{result.agent}: {tried:,} parameter sets tried{known}, {failed:,} failed"
    )
    console.print(_folds(result))
    for fold in result.folds:
        chosen = result.chosen(fold)
        said = parameters_text(chosen) if chosen else "nothing could be chosen"
        run_views.say(console, f"fold {fold.fold + 1}: {said}")
    out = result.out_of_sample
    if out is not None:
        run_views.say(
            console,
            f"out of sample: P&L {usd(out.pnl_e6, sign=True)} USD in {out.windows:,} windows, "
            f"Sharpe {ratio(out.sharpe)} of a year (above zero: "
            f"{percent(out.above_zero, places=0)}), drawdown {usd(out.max_drawdown_e6)} USD",
        )
    for line in warnings(result):
        run_views.say(console, f"caution: {line}", "yellow")
    run_views.say(console, f"report: {saved.folder / REPORT}")


def _folds(result: SweepResult) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("fold")
    table.add_column("test from, UTC")
    for name in ("P&L training", "P&L test", "deflated Sharpe", "overfitting"):
        table.add_column(name, justify="right")
    for fold in result.folds:
        chosen = result.chosen(fold)
        train, test = (chosen.figures, chosen.judged) if chosen else (None, None)
        table.add_row(
            str(fold.fold + 1),
            moment(fold.test_start_ns)[:16],
            usd(train.pnl_e6 if train else None, sign=True),
            usd(test.pnl_e6 if test else None, sign=True),
            ratio(fold.deflated_sharpe, 3),
            percent(fold.overfitting, places=0),
        )
    return table


def _print_json(saved: Saved) -> None:
    result = saved.result
    print(
        json.dumps(
            {
                "folder": str(saved.folder),
                "report": str(saved.folder / REPORT),
                "resumed": saved.resumed,
                "tried": sum(fold.tried for fold in result.folds),
                "failed": sum(trial.end is TrialEnd.FAILED for trial in result.trials),
                "folds": [
                    fold.model_dump(mode="json")
                    | {"parameters": chosen.parameters if (chosen := result.chosen(fold)) else None}
                    for fold in result.folds
                ],
                "out_of_sample": result.out_of_sample
                and result.out_of_sample.model_dump(mode="json"),
            },
            indent=2,
        )
    )
