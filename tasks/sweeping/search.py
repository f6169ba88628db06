"""Which parameter sets to try next: optuna's samplers, asked in batches of fixed size.

The batches do not depend on how many workers there are, and results are told in the order of
the trials: the same seed chooses the same sets everywhere, also when a sweep is resumed.
"""

import itertools
import random
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from engine.sweep.space import grid, is_whole, values_of
from models.runs import Range, Sampler, Search, SweepSpec
from models.sweeps import RunFigures, TrialEnd
from strategies.base import StrategyParams
from tasks.sweeping.plan import Plan, tidy

TPE_BATCH = 8
"""Sets that TPE chooses without knowing of each other."""
MOST_GENERATION, LEAST_GENERATION = 50, 4
"""Bounds of NSGA-II's population; a tenth of the trials between them."""

Parameters = dict[str, Any]


class Hunt:
    """The search of one fold: `ask` for sets, `tell` what became of each, until none come.

    Parameters
    ----------
    fold
        Joins the seed where the sampler learns; grid and random try the same sets in every fold.
    given
        Sets that were chosen already, by a screen: they are tried and no others.
    """

    def __init__(self, plan: Plan, fold: int, given: list[Parameters] | None = None) -> None:
        self.asked: list[Parameters] = []
        self._plan = plan
        self._given = given
        self._spec = spec = plan.spec
        self._learns = spec.sampler in (Sampler.TPE, Sampler.NSGA2)
        self._trials: list[optuna.Trial] = []
        self._axes = (
            {name: values_of(name, search) for name, search in plan.space.items()}
            if spec.sampler is Sampler.GRID
            else {name: search for name, search in plan.space.items() if isinstance(search, tuple)}
        )
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(
            sampler=self._sampler(spec.run.seed + (fold if self._learns else 0)),
            directions=[objective.direction for objective in spec.objectives],
        )
        self._distributions: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(range(len(self._axes[name])))
            if name in self._axes
            else _distribution(plan.kind, name, search)
            for name, search in plan.space.items()
        }

    def ask(self) -> list[Parameters]:
        """Return the next sets to try; none when all were."""
        if self._given is not None:
            batch = [] if self.asked else self._given
        else:
            batch = [
                self._next()
                for _ in range(min(self._plan.most_trials - len(self.asked), self._batch()))
            ]
        self.asked += batch
        return batch

    def tell(self, number: int, end: TrialEnd, figures: RunFigures | None) -> None:
        """Say how a set did; in the order of the numbers."""
        if not self._learns:
            return
        trial = self._trials[number]
        if end is TrialEnd.OK and figures is not None:
            self._study.tell(trial, list(objectives_of(self._spec, figures) or ()))
        elif end in (TrialEnd.UNDEFINED, TrialEnd.LOST) and len(self._spec.objectives) == 1:
            # Counts as worse than every value, so that the sampler leaves that region.
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    def _batch(self) -> int:
        if self._spec.sampler is Sampler.NSGA2:
            return _population(self._spec)
        return TPE_BATCH if self._learns else self._spec.trials

    def _next(self) -> Parameters:
        trial = self._study.ask(self._distributions)
        self._trials.append(trial)
        plan = self._plan
        return {
            name: self._axes[name][value]
            if name in self._axes
            else tidy(plan.kind, plan.space, name, value)
            for name, value in trial.params.items()
        }

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        if self._spec.sampler is Sampler.NSGA2:
            return optuna.samplers.NSGAIISampler(population_size=_population(self._spec), seed=seed)
        if self._spec.sampler is Sampler.RANDOM:
            return optuna.samplers.RandomSampler(seed)
        if self._spec.sampler is Sampler.GRID:
            places = {name: list(range(len(values))) for name, values in self._axes.items()}
            return optuna.samplers.GridSampler(places, seed)
        return optuna.samplers.TPESampler(seed=seed)


def objectives_of(spec: SweepSpec, figures: RunFigures) -> tuple[float, ...] | None:
    """Values of the objectives, None unless all are defined; money in US dollars."""
    known = {
        "pnl": figures.pnl_e6 / 1e6,
        "expectancy": None if figures.expectancy_e6 is None else figures.expectancy_e6 / 1e6,
        "sharpe": figures.sharpe,
        "sortino": figures.sortino,
        "calmar": figures.calmar,
        "profit_factor": figures.profit_factor,
        "max_drawdown": figures.max_drawdown,
        "brier": figures.brier,
    }
    values = [known[objective.value] for objective in spec.objectives]
    defined = tuple(value for value in values if value is not None)
    return defined if len(defined) == len(values) else None


def candidates(plan: Plan, count: int) -> list[Parameters]:
    """Draw sets for a screen, no two the same: a grid (or a part of it), or at random.

    Millions of them, which optuna's samplers would take minutes for.
    """
    spec = plan.spec
    if spec.sampler is Sampler.GRID:
        points = list(grid(plan.space))
        if len(points) <= count:
            return points
        chosen = sorted(random.Random(spec.run.seed).sample(range(len(points)), count))
        return [points[at] for at in chosen]
    rng = np.random.default_rng(spec.run.seed)
    found: dict[str, Parameters] = {}
    # A small space may hold fewer sets than were asked for.
    for _ in itertools.islice(itertools.count(), 20 * count):
        drawn = {name: _drawn(plan, name, search, rng) for name, search in plan.space.items()}
        found.setdefault(repr(drawn), drawn)
        if len(found) == count:
            break
    return list(found.values())


def _drawn(plan: Plan, name: str, search: Search, rng: np.random.Generator) -> Any:
    if not isinstance(search, Range):
        return search[int(rng.integers(len(search)))]
    if search.step is not None:
        points = values_of(name, search)
        return points[int(rng.integers(len(points)))]
    if search.log:
        value = float(np.exp(rng.uniform(np.log(search.low), np.log(search.high))))
    else:
        value = float(rng.uniform(search.low, search.high))
    return tidy(plan.kind, plan.space, name, min(max(value, search.low), search.high))


def _population(spec: SweepSpec) -> int:
    return min(MOST_GENERATION, max(LEAST_GENERATION, spec.trials // 10))


def _distribution(kind: type[StrategyParams], name: str, search: Search) -> BaseDistribution:
    assert isinstance(search, Range), "lists are searched by place"
    if is_whole(kind, name):
        low, high = round(search.low), round(search.high)
        step = 1 if search.step is None else max(1, round(search.step))
        return IntDistribution(low, low + (high - low) // step * step, search.log, step)
    if search.step is None:
        return FloatDistribution(search.low, search.high, search.log)
    last = values_of(name, search)[-1]
    return FloatDistribution(search.low, last, step=search.step)
