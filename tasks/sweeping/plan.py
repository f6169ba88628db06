"""From what was asked to folds, tapes and jobs: everything that is settled before the search."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.backtest.config import BacktestConfig
from engine.sweep.space import grid, is_whole, space_of, values_of
from engine.sweep.splits import splits
from models.errors import ConfigError
from models.markets import TIMEFRAMES
from models.runs import Range, Sampler, Search, SweepSpec
from models.settings import Settings
from models.tape import Tape
from models.units import SECOND_NS
from store.tape import cut, describe, open_tape
from strategies import library
from strategies.base import StrategyParams
from strategies.momentum import Momentum
from tasks.backtesting import config_of
from tasks.recordings import Progress, bounds_ns, refuse_empty, tape_of
from tasks.silences import ages_of
from tasks.sweeping.trial import Job

WARM_NS = 3_600 * SECOND_NS
"""What a part's tape holds before its start, so that strategies can look back."""
SCREENS = (Momentum.name,)
"""Strategies with a screen (`engine.sweep.screen`)."""


@dataclass(frozen=True, slots=True)
class Part:
    """A span of the recording to run on, and the tape file that holds it; times in ns."""

    start_ns: int
    end_ns: int
    tape: str


@dataclass(frozen=True, slots=True)
class Fold:
    """Where parameters are searched, and where they are judged; no test without splits."""

    number: int
    train: Part
    test: Part | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep, ready to begin."""

    spec: SweepSpec
    config: BacktestConfig
    agent: int
    kind: type[StrategyParams]
    space: Mapping[str, Search]
    folds: tuple[Fold, ...]
    key: str
    """Digest of everything the trials' results depend on, the number of workers not among it."""

    @property
    def most_trials(self) -> int:
        """How many sets a fold tries at most: a grid may have fewer than were asked for."""
        if self.spec.sampler is not Sampler.GRID:
            return self.spec.trials
        points = math.prod(len(values_of(name, where)) for name, where in self.space.items())
        return min(self.spec.trials, points)

    def job(self, part: Part, parameters: Mapping[str, Any]) -> Job:
        """Make the backtest of a parameter set on a part."""
        agents = list(self.config.agents)
        asked = agents[self.agent]
        spec = asked.spec.model_copy(update={"parameters": {**asked.spec.parameters, **parameters}})
        agents[self.agent] = replace(asked, spec=spec)
        config = replace(
            self.config, agents=tuple(agents), start_ns=part.start_ns, end_ns=part.end_ns
        )
        return Job(part.tape, config, self.agent)


def make_plan(
    spec: SweepSpec, settings: Settings, on_progress: Progress | None = None
) -> tuple[Plan, Path]:
    """Check what was asked, find the data, and cut time into folds; no tape is cut yet.

    Returns
    -------
    The plan, whose parts all name the whole tape, and that tape's file.

    Raises
    ------
    ConfigError
        The recording, the space, the grid or the screen can't be what was asked.
    BadValue
        The recording is too short for so many folds.
    """
    kind = _params(spec)
    space = space_of(kind, spec.space)
    if spec.sampler is Sampler.GRID:
        next(grid(space))
    if spec.screen is not None and spec.searched.strategy not in SCREENS:
        raise ConfigError(
            f"screen: strategy {spec.searched.strategy!r} has no screen; {', '.join(SCREENS)} has"
        )
    path = tape_of(spec.run, settings, on_progress)
    tape = open_tape(path)
    refuse_empty(spec.run, tape)
    config = config_of(spec.run, settings, ages_of(spec.run, tape))
    names = [agent.name for agent in spec.run.agents]
    plan = Plan(
        spec=spec,
        config=config,
        agent=names.index(spec.searched.name),
        kind=kind,
        space=space,
        folds=_folds(spec, tape, path),
        key=_key(spec, config, path),
    )
    return plan, path


def cut_parts(plan: Plan, path: Path, folder: Path) -> Plan:
    """Cut the tape into a file for each part, where that is not done yet; return the new plan."""
    if plan.spec.walk_forward is None and plan.spec.run.start is None and plan.spec.run.end is None:
        return plan
    tape = open_tape(path)
    folder.mkdir(parents=True, exist_ok=True)

    def part(one: Part | None, name: str) -> Part | None:
        if one is None:
            return None
        out = folder / f"{name}.tape"
        if not out.is_file():
            cut(tape, one.start_ns - WARM_NS, one.end_ns + 1, out)
        return replace(one, tape=str(out))

    folds = []
    for fold in plan.folds:
        train = part(fold.train, f"train-{fold.number}")
        assert train is not None
        folds.append(Fold(fold.number, train, part(fold.test, f"test-{fold.number}")))
    return replace(plan, folds=tuple(folds))


def _params(spec: SweepSpec) -> type[StrategyParams]:
    kind = library.STRATEGIES.get(spec.searched.strategy)
    if kind is None:
        library.create(spec.searched.strategy, {})  # says what there is
    assert kind is not None
    return kind.Params


def _folds(spec: SweepSpec, tape: Tape, path: Path) -> tuple[Fold, ...]:
    wanted = {(one.asset, one.timeframe) for agent in spec.run.agents for one in agent.markets}
    mine = [m for m in tape.markets if (m.asset, m.timeframe) in wanted]
    asked_from, asked_to = bounds_ns(spec.run)
    first = max(int(tape.recv_ns[0]), asked_from or 0, min(m.start_ns for m in mine))
    last = min(int(tape.recv_ns[-1]) + 1, max(m.end_ns for m in mine))
    last = min(last, asked_to or last)
    if spec.walk_forward is None:
        return (Fold(0, Part(first, last, str(path)), None),)
    longest_ns = max(TIMEFRAMES[timeframe] for _, timeframe in wanted) * SECOND_NS
    return tuple(
        Fold(
            number,
            Part(split.train_start_ns, split.train_end_ns, str(path)),
            Part(split.test_start_ns, split.test_end_ns, str(path)),
        )
        for number, split in enumerate(splits(first, last, spec.walk_forward, longest_ns))
    )


def _key(spec: SweepSpec, config: BacktestConfig, path: Path) -> str:
    """Digest what results depend on: the search, the run, its limits and ages, the tape's bytes."""
    said = spec.model_dump(mode="json", exclude={"workers", "dask"})
    checksums = describe(path).checksums
    limits = [repr(agent.limits) for agent in config.agents]
    ages = (config.max_book_age_s, config.max_spot_age_s)
    facts = json.dumps([said, limits, ages, checksums], sort_keys=True, default=str)
    return hashlib.sha256(facts.encode()).hexdigest()[:12]


def tidy(kind: type[StrategyParams], space: Mapping[str, Search], name: str, value: Any) -> Any:
    """Return a number as a person would write it, whole where the parameter is whole."""
    if not isinstance(value, float) or not isinstance(space[name], Range):
        return value
    return round(value) if is_whole(kind, name) else float(f"{value:.9g}")
