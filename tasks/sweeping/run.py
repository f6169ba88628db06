"""A sweep from what was asked to a saved page: fold by fold, each trial kept as it finishes."""

import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.results.summary import PERIOD_S
from engine.sweep.bars import bars_of
from engine.sweep.screen import screen_momentum
from models.errors import BadValue, ConfigError
from models.runs import Range, SweepSpec
from models.settings import Settings
from models.sweeps import FoldResult, SweepResult, Trial, TrialEnd
from store.tape import open_tape
from strategies.momentum import MomentumParams
from tasks.backtesting import Progress, Stopped
from tasks.sweeping import judge, keep
from tasks.sweeping.crew import Alone, Crew, Processes
from tasks.sweeping.plan import Fold, Part, Plan, cut_parts, make_plan
from tasks.sweeping.search import Hunt, Parameters, candidates, objectives_of
from tasks.sweeping.trial import Asked, Floats, Outcome

SWEEPS = "sweeps"
"""Folder under FLOOR_HOME where sweeps are kept."""
JUDGED = 5
"""How many of a fold's best are also run on its test, after the first of them was chosen."""
SCREEN_BARS_S = 1.0
TRAIN = "train-"

Hire = Callable[[Asked], AbstractContextManager[Crew]]
Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished sweep and where it is kept."""

    result: SweepResult
    folder: Path
    resumed: int
    """Backtests that had been done by an earlier start of the same sweep."""


class Sweep:
    """One sweep. `run` blocks and may be called from a thread; `stop` ends it with `Stopped`.

    What was finished by then is kept: the same sweep goes on from there. Its folder carries a
    digest of all that its results depend on, so that another sweep gets another folder.

    Parameters
    ----------
    tell
        Told how far it is: ``reading``, ``screening``, ``searching``; the note names the best.
    hire
        Makes the crew that does the backtests; default processes on this machine.
    fresh
        Forget what an earlier start of the same sweep has done.
    stopped
        Asked now and then whether to stop; default whether `stop` was called.
    """

    def __init__(
        self,
        spec: SweepSpec,
        settings: Settings,
        tell: Tell = lambda _: None,
        hire: Hire | None = None,
        fresh: bool = False,
        stopped: Asked | None = None,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self._tell = tell
        self._hire = hire or self._local
        self._fresh = fresh
        self._wish = threading.Event()
        self._stop: Asked = stopped or self._wish.is_set
        self._done = self._resumed = 0
        self._best: float | None = None
        """The first objective's, in the training of the fold at hand."""

    def stop(self) -> None:
        self._wish.set()

    def run(self) -> Saved:
        """Search, judge and save; a sweep that is finished already is only read.

        Raises
        ------
        ConfigError, BadValue
            Something asked for can't be; the sweep is running in another process.
        Stopped
            After `stop`.
        """
        self._at("reading", 0, 0)
        plan, path = make_plan(
            self.spec, self.settings, lambda done, total: self._at("reading", done, total)
        )
        folder = self.settings.floor_home / SWEEPS / f"{self.spec.run.name}-{plan.key}"
        with keep.alone_in(folder):
            if self._fresh:
                for name in (keep.RESULT, keep.LOG):
                    (folder / name).unlink(missing_ok=True)
                shutil.rmtree(folder / keep.PARTS, ignore_errors=True)
            elif (folder / keep.RESULT).is_file():
                result = keep.load_result(folder)
                return Saved(result, folder, sum(fold.tried for fold in result.folds))
            plan = cut_parts(plan, path, folder / keep.PARTS)
            log = keep.TrialLog(folder, plan.key)
            try:
                with self._hire(self._stop) as crew:
                    result = self._search(plan, crew, log)
            finally:
                log.close()
            self._save(folder, result)
            shutil.rmtree(folder / keep.PARTS, ignore_errors=True)
        return Saved(result, folder, self._resumed)

    def _save(self, folder: Path, result: SweepResult) -> None:
        # matplotlib takes a second to import.
        from tasks.sweeping.page import render_sweep

        keep.save_result(folder, result, render_sweep(result, self.spec))

    def _local(self, stopped: Asked) -> AbstractContextManager[Crew]:
        if self.spec.dask is not None:
            return _dask(self.spec.dask, stopped)
        workers = self.spec.workers or os.cpu_count() or 1
        return nullcontext(Alone(stopped)) if workers == 1 else Processes(workers, stopped)

    # --- searching ------------------------------------------------------------------------------

    def _search(self, plan: Plan, crew: Crew, log: keep.TrialLog) -> SweepResult:
        trials: list[Trial] = []
        folds: list[FoldResult] = []
        tests: list[Outcome | None] = []
        for fold in plan.folds:
            found, result, test = self._fold(plan, fold, crew, log)
            trials += found
            folds.append(result)
            tests.append(test)
        capital = plan.spec.searched.capital_e6
        judged = [test for test in tests if test is not None]
        return SweepResult(
            name=plan.spec.run.name,
            agent=plan.spec.searched.name,
            spec=plan.spec.model_dump(mode="json"),
            searched=tuple(plan.space),
            objectives=tuple(objective.value for objective in plan.spec.objectives),
            capital_e6=capital,
            period_s=PERIOD_S,
            trials=tuple(trials),
            folds=tuple(folds),
            out_of_sample=judge.chained(judged, capital) if len(judged) == len(tests) else None,
        )

    def _fold(
        self, plan: Plan, fold: Fold, crew: Crew, log: keep.TrialLog
    ) -> tuple[list[Trial], FoldResult, Outcome | None]:
        """Search a fold's training part, choose, and judge the choice on what came after."""
        screened, given = self._screen(plan, fold)
        hunt = Hunt(plan, fold.number, given)
        self._best = None
        trials: list[Trial] = []
        returns: dict[int, Floats] = {}
        while batch := hunt.ask():
            name = f"{TRAIN}{fold.number}"
            outcomes = self._try(plan, fold.train, name, batch, crew, log)
            for parameters, outcome in zip(batch, outcomes, strict=True):
                trial = _trial(plan.spec, fold.number, len(trials), parameters, outcome)
                hunt.tell(trial.number, trial.end, trial.figures)
                if trial.figures is not None:
                    returns[trial.number] = outcome.returns
                trials.append(trial)
        best = judge.ranked(plan.spec, trials)
        tests = self._judge(plan, fold, best, crew, log)
        for trial, test in tests:
            trials[trial.number] = trial.model_copy(update={"judged": test.figures})
        tried = len({repr(trial.parameters) for trial in trials})
        result = FoldResult(
            fold=fold.number,
            train_start_ns=fold.train.start_ns,
            train_end_ns=fold.train.end_ns,
            test_start_ns=fold.test.start_ns if fold.test else None,
            test_end_ns=fold.test.end_ns if fold.test else None,
            tried=tried,
            screened=screened,
            chosen=best[0].number if best else None,
            deflated_sharpe=judge.luck(returns, best[0].number, max(screened, tried))
            if best
            else None,
            overfitting=judge.overfitting(returns),
        )
        return trials, result, tests[0][1] if tests else None

    def _judge(
        self, plan: Plan, fold: Fold, best: Sequence[Trial], crew: Crew, log: keep.TrialLog
    ) -> list[tuple[Trial, Outcome]]:
        """Run the best few of a fold on its test part; the first is the chosen one."""
        if fold.test is None or not best:
            return []
        different: dict[str, Trial] = {}
        for trial in best:
            different.setdefault(repr(trial.parameters), trial)
        few = list(different.values())[:JUDGED]
        sets = [trial.parameters for trial in few]
        outcomes = self._try(plan, fold.test, f"test-{fold.number}", sets, crew, log)
        return list(zip(few, outcomes, strict=True))

    def _try(
        self, plan: Plan, part: Part, name: str, sets: Sequence[Parameters], crew: Crew,
        log: keep.TrialLog,
    ) -> list[Outcome]:  # fmt: skip
        """Backtest sets on a part, each that is not known yet once; outcomes in their order."""
        new: dict[str, Mapping[str, Any]] = {}
        for one in sets:
            if log.find(name, one) is None:
                new.setdefault(repr(one), one)
            else:
                self._resumed += 1
        todo = list(new.values())
        self._done += len(sets) - len(todo)
        self._show(plan)
        for place, outcome in crew.do([plan.job(part, one) for one in todo]):
            log.add(name, todo[place], outcome)
            self._done += 1
            if name.startswith(TRAIN):
                self._note_best(plan, outcome)
            self._show(plan)
        found = [log.find(name, one) for one in sets]
        return [outcome for outcome in found if outcome is not None]

    # --- screening ------------------------------------------------------------------------------

    def _screen(self, plan: Plan, fold: Fold) -> tuple[int, list[Parameters] | None]:
        """Look at many sets over bars of the training part; return how many, and the best."""
        if plan.spec.screen is None:
            return 0, None
        sets = [_on_bars(plan, one) for one in candidates(plan, plan.spec.screen)]
        self._at("screening", 0, len(sets))
        market = plan.spec.searched.markets[0]
        if len(plan.spec.searched.markets) > 1:
            raise ConfigError("screen: the agent trades several markets; screen them one by one")
        bars = bars_of(
            open_tape(Path(fold.train.tape)), market.asset, market.timeframe, SCREEN_BARS_S,
            start_ns=fold.train.start_ns, end_ns=fold.train.end_ns,
            quit_before_end_s=plan.config.quit_before_end_s,
            max_book_age_s=plan.config.max_book_age_s, max_spot_age_s=plan.config.max_spot_age_s,
        )  # fmt: skip
        fixed = plan.spec.searched.parameters
        found = screen_momentum(
            bars, [MomentumParams(**{**fixed, **one}) for one in sets], plan.spec.workers
        )
        self._at("screening", len(sets), len(sets))
        best = [sets[at] for at in found.best(len(sets)) if found.entries[at]]
        return len(sets), best[: plan.spec.trials]

    # --- telling --------------------------------------------------------------------------------

    def _show(self, plan: Plan) -> None:
        judged = JUDGED if plan.spec.walk_forward is not None else 0
        total = len(plan.folds) * (plan.most_trials + min(judged, plan.most_trials))
        best = "" if self._best is None else f"{plan.spec.objectives[0]} {self._best:.4g}"
        self._at("searching", min(self._done, total), total, best and f"best {best}")

    def _note_best(self, plan: Plan, outcome: Outcome) -> None:
        if judge.ended(plan.spec, outcome) is not TrialEnd.OK or outcome.figures is None:
            return
        goal = plan.spec.objectives[0]
        value = (objectives_of(plan.spec, outcome.figures) or (0.0,))[0]
        sign = 1.0 if goal.direction == "maximize" else -1.0
        if self._best is None or sign * value > sign * self._best:
            self._best = value

    def _at(self, step: str, done: int, total: int, note: str = "") -> None:
        if self._stop():
            raise Stopped
        self._tell(Progress(step, done, total, note=note, unit="runs"))


def _trial(
    spec: SweepSpec, fold: int, number: int, parameters: Parameters, outcome: Outcome
) -> Trial:
    return Trial(
        fold=fold,
        number=number,
        end=judge.ended(spec, outcome),
        parameters=parameters,
        figures=outcome.figures,
        note=outcome.failure,
    )


def _on_bars(plan: Plan, parameters: Parameters) -> Parameters:
    """Round a lookback to whole bars, as the screen needs it; the set is tried like that."""
    back = {**plan.spec.searched.parameters, **parameters}.get("lookback_s")
    if back is None or float(back / SCREEN_BARS_S).is_integer():
        return parameters
    if "lookback_s" not in parameters:
        raise BadValue(f"screen: lookback_s={back:g} must be whole seconds")
    search = plan.space["lookback_s"]
    rounded = round(back / SCREEN_BARS_S) * SCREEN_BARS_S
    if isinstance(search, Range) and not search.low <= rounded <= search.high:
        rounded += SCREEN_BARS_S if rounded < search.low else -SCREEN_BARS_S
    return {**parameters, "lookback_s": rounded}


def _dask(address: str, stopped: Asked) -> AbstractContextManager[Crew]:
    # distributed takes a second to import; only who has a cluster pays it.
    from tasks.sweeping.cluster import dask_crew

    return dask_crew(address, stopped)
