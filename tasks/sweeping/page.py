"""A sweep's page: what was chosen, what came of it, and how much of it is luck."""

import json
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from models.runs import SweepSpec
from models.sweeps import FoldResult, RunFigures, SweepResult, Trial, TrialEnd
from models.units import USD
from tasks.report.drawing import draw, series_style, zero_line
from tasks.report.markup import Child, Markup, el, table
from tasks.report.render import POLICY
from tasks.report.style import CSS, MUTED, SERIES
from tasks.report.words import NONE, moment, percent, ratio, usd
from tasks.sweeping.judge import matters
from tasks.sweeping.search import objectives_of

FIRST = 500
"""Trials shown on the page; the table beside it has all."""
FEW_FILLS = 30
ADVICE = (
    ("Deflated Sharpe ratio", "Probability that the chosen set's true Sharpe ratio in training is "
     "above zero, after allowing for how many sets were tried (Bailey and Lopez de Prado 2014). "
     "Below 0.95 the best may well be luck."),
    ("Probability of overfitting", "How often the best set of one half of the training was below "
     "the median in the other half (Bailey and others 2017). One half is what luck alone gives."),
    ("Out of sample", "The chosen set of each fold on the time after its training, fold after "
     "fold, each beginning with the capital anew."),
    ("Rank correlation", "Of the parameter with the first objective over all trials that count "
     "(Spearman): near 1 or -1 it matters and in one direction; near 0 it does not, or not in "
     "one direction."),
)  # fmt: skip


def render_sweep(result: SweepResult, spec: SweepSpec) -> str:
    """Write the page of a sweep, as `tasks.report.render.render_report` does of a run."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"{result.name}: sweep"),
        el("style", Markup(CSS)),
    )
    body = el("body", el("main", *_sections(result, spec)))
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def warnings(result: SweepResult) -> list[str]:
    """Say what keeps the chosen parameters from meaning what they seem to."""
    said = []
    failed = sum(trial.end is TrialEnd.FAILED for trial in result.trials)
    if failed:
        said.append(f"Backtests that failed: {failed} of {len(result.trials)}; the table says why.")
    if any(fold.chosen is None for fold in result.folds):
        said.append("In a fold no set could be chosen: none had a value of every objective.")
    out = result.out_of_sample
    if all(fold.test_start_ns is None for fold in result.folds):
        said.append("Nothing was kept to judge the choice on: the figures are of training only.")
    elif out is not None and out.fills < FEW_FILLS:
        said.append(f"Out of sample there were only {out.fills} fills: too few to tell.")
    if out is not None and out.pnl_e6 <= 0:
        said.append("Out of sample the chosen sets brought nothing.")
    lucky = [f for f in result.folds if f.deflated_sharpe is not None and f.deflated_sharpe < 0.95]
    if lucky:
        said.append(f"Folds whose best may be luck (deflated Sharpe below 0.95): {len(lucky)}.")
    overfit = [f for f in result.folds if f.overfitting is not None and f.overfitting >= 0.5]
    if overfit:
        said.append(f"Folds whose search overfits (one half or more): {len(overfit)}.")
    return said


def _sections(result: SweepResult, spec: SweepSpec) -> tuple[Child, ...]:
    said = warnings(result)
    return (
        el("h1", result.name),
        el("p", _subtitle(result), class_="sub"),
        el("div", el("strong", "Read with care"), el("ul", [el("li", line) for line in said]),
           class_="warn") if said else None,
        _tiles(result),
        el("h2", "Folds"),
        _folds(result),
        el("h2", "Charts"),
        el("div", _charts(result, spec), class_="charts"),
        el("h2", "Parameters"),
        _parameters(result, spec),
        el("h2", "Trials"),
        _trials(result, spec),
        el("h2", "What the figures mean"),
        el("dl", [(el("dt", word), el("dd", meaning)) for word, meaning in ADVICE], class_="card"),
        el("details", el("summary", "Everything that was asked for"),
           el("pre", json.dumps(result.spec, indent=2, ensure_ascii=False))),
    )  # fmt: skip


def _subtitle(result: SweepResult) -> str:
    tried = sum(fold.tried for fold in result.folds)
    looked = sum(fold.screened for fold in result.folds)
    first, last = result.folds[0], result.folds[-1]
    end = last.test_end_ns or last.train_end_ns
    return (
        f"{result.agent} · {moment(first.train_start_ns)} to {moment(end)} UTC · "
        f"{len(result.folds)} folds · {tried:,} backtests"
        + (f" of {looked:,} sets looked at" if looked else "")
        + f" · objective {', '.join(result.objectives)}"
    )


def _tile(name: str, value: str, more: str) -> Markup:
    return el(
        "div", el("div", name, class_="name"), el("div", value, class_="value"),
        el("div", more, class_="more"), class_="tile",
    )  # fmt: skip


def _tiles(result: SweepResult) -> Markup | None:
    out = result.out_of_sample
    if out is None:
        return None
    return el(
        "div",
        _tile("P&L out of sample, USD", usd(out.pnl_e6, sign=True),
              f"{percent(out.pnl_e6 / result.capital_e6, sign=True)} of {usd(result.capital_e6)}"),
        _tile("Sharpe out of sample", ratio(out.sharpe), f"of a year; above zero: "
              f"{percent(out.above_zero, places=0)}"),
        _tile("Max drawdown, USD", usd(out.max_drawdown_e6), "over all tests"),
        _tile("Windows", f"{out.windows:,}", f"{out.fills:,} fills"),
        class_="tiles",
    )  # fmt: skip


def _folds(result: SweepResult) -> Markup:
    rows = [_fold(result, fold) for fold in result.folds]
    head = ("fold", "training, UTC", "test from, UTC", "chosen", "P&L training", "P&L test",
            "Sharpe training", "Sharpe test", "deflated Sharpe", "overfitting")  # fmt: skip
    return table(head, rows, numeric=range(4, 10), long=(3,))


def _fold(result: SweepResult, fold: FoldResult) -> list[Child]:
    chosen = result.chosen(fold)
    train = chosen.figures if chosen else None
    test = chosen.judged if chosen else None
    return [
        str(fold.fold + 1),
        f"{moment(fold.train_start_ns)} to {moment(fold.train_end_ns)}",
        moment(fold.test_start_ns),
        parameters_text(chosen) if chosen else NONE,
        usd(train.pnl_e6 if train else None, sign=True),
        usd(test.pnl_e6 if test else None, sign=True),
        ratio(train.sharpe if train else None),
        ratio(test.sharpe if test else None),
        ratio(fold.deflated_sharpe, 3),
        percent(fold.overfitting, places=0),
    ]


def parameters_text(trial: Trial) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in trial.parameters.items())


def _value(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _parameters(result: SweepResult, spec: SweepSpec) -> Markup:
    rows: list[list[Child]] = []
    for name in result.searched:
        chosen = [result.chosen(fold) for fold in result.folds]
        values = [_value(one.parameters.get(name)) for one in chosen if one is not None]
        rows.append([name, ratio(matters(result.trials, spec, name)), ", ".join(values) or NONE])
    return table(("parameter", "rank correlation", "chosen, fold by fold"), rows, numeric=(1,))


def _trials(result: SweepResult, spec: SweepSpec) -> Child:
    shown = sorted(result.trials, key=lambda t: (t.fold, not _counts(t), -_goal(t, spec)))[:FIRST]
    rows: list[list[Child]] = [
        [str(t.fold + 1), str(t.number), t.end.value, parameters_text(t), *_figures(t.figures),
         usd(t.judged.pnl_e6 if t.judged else None, sign=True), t.note]
        for t in shown
    ]  # fmt: skip
    head = ("fold", "trial", "end", "parameters", "P&L", "Sharpe", "max drawdown", "windows",
            "fills", "P&L test", "note")  # fmt: skip
    more = len(result.trials) - len(shown)
    return (
        el("p", f"The first {FIRST:,}; trials.parquet beside this page has {more:,} more.",
           class_="note") if more else None,
        table(head, rows, numeric=(1, *range(4, 10)), long=(3, 10), tall=True),
    )  # fmt: skip


def _counts(trial: Trial) -> bool:
    return trial.end is TrialEnd.OK


def _goal(trial: Trial, spec: SweepSpec) -> float:
    """The first objective, higher is better; 0 where it does not count."""
    values = objectives_of(spec, trial.figures) if trial.figures is not None else None
    sign = 1.0 if spec.objectives[0].direction == "maximize" else -1.0
    return sign * values[0] if values and _counts(trial) else 0.0


def _figures(run: RunFigures | None) -> list[Child]:
    if run is None:
        return [NONE] * 5
    return [
        usd(run.pnl_e6, sign=True), ratio(run.sharpe), percent(run.max_drawdown),
        f"{run.windows:,}", f"{run.fills:,}",
    ]  # fmt: skip


# --- charts ---------------------------------------------------------------------------------------


def _charts(result: SweepResult, spec: SweepSpec) -> list[Child]:
    charts: list[Child] = [
        _figure("In sample and out of sample",
                "P&L of each fold's best few; the chosen one is filled.", _scatter(result)),
        _figure("As the search went on", "The first objective, trial by trial.",
                _history(result, spec)),
    ]  # fmt: skip
    for name in result.searched:
        if all(isinstance(t.parameters.get(name), int | float) for t in result.trials):
            charts.append(
                _figure(name, "Against the first objective.", _against(result, spec, name))
            )
    return charts


def _figure(title: str, note: str, drawing: Markup) -> Markup:
    return el("figure", el("figcaption", el("h3", title), el("span", note, class_="note")), drawing)


def _scatter(result: SweepResult) -> Markup:
    def paint(axes: Axes) -> None:
        zero_line(axes)
        axes.axvline(0, color=MUTED, linewidth=0.9)
        for fold in result.folds:
            colour = SERIES[fold.fold % len(SERIES)]
            for trial in result.of_fold(fold.fold):
                if trial.figures is None or trial.judged is None:
                    continue
                chosen = trial.number == fold.chosen
                axes.plot(
                    [trial.figures.pnl_e6 / USD], [trial.judged.pnl_e6 / USD], "o",
                    color=colour, markersize=7 if chosen else 5,
                    markerfacecolor=colour if chosen else "none",
                )  # fmt: skip
        axes.set_xlabel("P&L in training, USD")
        axes.set_ylabel("P&L in the test, USD")

    return draw(paint, "inout", "P&L in training and in the test of each fold's best sets")


def _points(trials: Sequence[Trial], spec: SweepSpec) -> list[tuple[Trial, float]]:
    return [
        (trial, values[0])
        for trial in trials
        if _counts(trial)
        and trial.figures is not None
        and (values := objectives_of(spec, trial.figures)) is not None
    ]


def _history(result: SweepResult, spec: SweepSpec) -> Markup:
    best = np.maximum if spec.objectives[0].direction == "maximize" else np.minimum

    def paint(axes: Axes) -> None:
        for fold in result.folds:
            points = _points(result.of_fold(fold.fold), spec)
            if not points:
                continue
            at = [trial.number for trial, _ in points]
            values = np.array([value for _, value in points])
            colour = SERIES[fold.fold % len(SERIES)]
            axes.plot(at, values, ".", color=colour, markersize=4, alpha=0.5)
            axes.plot(at, best.accumulate(values), linewidth=1.5, **series_style(fold.fold))
        axes.set_xlabel("trial")
        axes.set_ylabel(result.objectives[0])

    return draw(paint, "history", "The first objective of every trial, and the best so far")


def _against(result: SweepResult, spec: SweepSpec, name: str) -> Markup:
    def paint(axes: Axes) -> None:
        for fold in result.folds:
            points = _points(result.of_fold(fold.fold), spec)
            axes.plot(
                [float(trial.parameters[name]) for trial, _ in points],
                [value for _, value in points],
                ".", color=SERIES[fold.fold % len(SERIES)], markersize=5, alpha=0.6,
            )  # fmt: skip
        axes.set_xlabel(name)
        axes.set_ylabel(result.objectives[0])

    return draw(paint, f"p-{name.replace('_', '-')}", f"The first objective against {name}")
