"""The choice of a fold and what is said of its luck, on figures made up for it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.runs import SweepSpec
from models.sweeps import RunFigures, Trial, TrialEnd
from tasks.sweeping import judge
from tasks.sweeping.keep import TrialLog
from tasks.sweeping.trial import Outcome
from tests.tasks.sweep_kit import sweep_spec

NOTHING: dict[str, Any] = {
    "pnl_e6": 0, "fees_e6": 0, "turnover_e6": 0, "windows": 1, "unresolved": 0, "win_rate": None,
    "orders": 1, "fills": 1, "sharpe": None, "sortino": None, "calmar": None,
    "profit_factor": None, "expectancy_e6": None, "max_drawdown": 0.0, "brier": None,
}  # fmt: skip


def figures(**some: Any) -> RunFigures:
    return RunFigures(**{**NOTHING, **some})


def trial(number: int, **some: Any) -> Trial:
    return Trial(
        fold=0, number=number, end=TrialEnd.OK, parameters={"x": number}, figures=figures(**some)
    )


def spec(*objectives: str) -> SweepSpec:
    sampler = "tpe" if len(objectives) == 1 else "nsga2"
    return sweep_spec(Path("x"), objectives=list(objectives), sampler=sampler)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=20))
def test_the_best_by_one_objective_and_of_equals_the_first(values: list[int]) -> None:
    up = judge.ranked(spec("pnl"), [trial(n, pnl_e6=v) for n, v in enumerate(values)])
    assert [t.number for t in up] == sorted(range(len(values)), key=lambda n: (-values[n], n))
    down = judge.ranked(
        spec("max_drawdown"), [trial(n, max_drawdown=float(v)) for n, v in enumerate(values)]
    )
    assert [t.number for t in down] == sorted(range(len(values)), key=lambda n: (values[n], n))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=15))
def test_of_several_objectives_the_choice_is_beaten_by_none(values: list[tuple[int, int]]) -> None:
    trials = [trial(n, pnl_e6=p, max_drawdown=float(d)) for n, (p, d) in enumerate(values)]
    best = judge.ranked(spec("pnl", "max_drawdown"), trials)
    assert len(best) == len(trials)
    pnl, depth = values[best[0].number]
    assert not any((p >= pnl and d <= depth) and (p, d) != (pnl, depth) for p, d in values)


def test_the_more_was_tried_the_luckier_the_same_result_looks() -> None:
    rng = np.random.default_rng(5)
    returns = {n: rng.normal(0.0, 0.01, 400) for n in range(20)}
    returns[0] = returns[0] + 0.002
    few, many = judge.luck(returns, 0, 20), judge.luck(returns, 0, 20_000)
    assert few is not None
    assert many is not None
    assert 0 <= many < few <= 1
    overfit = judge.overfitting({n: one for n, one in returns.items() if n})
    skilled = judge.overfitting({**returns, 0: returns[0] + 0.006})
    assert overfit is not None
    assert skilled is not None
    assert skilled < 0.1 < overfit
    assert judge.overfitting({0: np.zeros(3), 1: np.zeros(3)}) is None


def test_tests_follow_each_other_as_one_run() -> None:
    first = Outcome(figures(pnl_e6=10, fees_e6=1, windows=2, fills=3), np.array([0.2, -0.1]))
    second = Outcome(figures(pnl_e6=-30, fees_e6=2, windows=1, fills=1), np.array([-0.3, 0.0]))
    both = judge.chained([first, second], 100)
    assert both is not None
    assert (both.pnl_e6, both.fees_e6, both.windows, both.fills) == (-20, 3, 3, 4)
    assert both.observations == 4
    assert both.max_drawdown_e6 == 40  # from +20 to -20, over the seam
    assert both.sharpe == pytest.approx(
        np.mean([0.2, -0.1, -0.3, 0]) / np.std([0.2, -0.1, -0.3, 0], ddof=1) * np.sqrt(105_120)
    )
    assert judge.chained([first, Outcome(None, np.empty(0), "no")], 100) is None


def test_a_log_comes_back_as_it_was_and_only_for_its_own_sweep(tmp_path: Path) -> None:
    kept = Outcome(figures(pnl_e6=7, sharpe=1.5), np.array([0.1, -1e-17, 3.0]))
    failed = Outcome(None, np.empty(0), "no \N{SNOWMAN}")
    log = TrialLog(tmp_path, "key")
    log.add("train-0", {"b": 1, "a": 2.5}, kept)
    log.add("train-0", {"a": 3}, failed)
    log.close()
    again = TrialLog(tmp_path, "key")
    found = again.find("train-0", {"a": 2.5, "b": 1})
    assert found is not None
    assert found.figures == kept.figures
    assert found.returns.tolist() == kept.returns.tolist()
    assert again.find("test-0", {"a": 2.5, "b": 1}) is None
    # What failed is tried again by the next start.
    assert again.find("train-0", {"a": 3}) is None
    again.add("train-0", {"a": 3}, failed)
    assert again.find("train-0", {"a": 3}) is failed
    again.close()
    other = TrialLog(tmp_path, "another")
    assert len(other) == 0
    other.close()


def test_parameters_that_matter_are_told_from_those_that_do_not() -> None:
    rng = np.random.default_rng(2)
    trials = [
        Trial(
            fold=0, number=n, end=TrialEnd.OK, figures=figures(pnl_e6=n * n),
            parameters={"grows": n, "falls": -n, "noise": float(rng.normal()), "same": 1, "w": "a"},
        )
        for n in range(60)
    ]  # fmt: skip
    told = {name: judge.matters(trials, spec("pnl"), name) for name in trials[0].parameters}
    assert told["grows"] == pytest.approx(1)
    assert told["falls"] == pytest.approx(-1)
    assert abs(told["noise"] or 0) < 0.4
    assert told["same"] is None
    assert told["w"] is None
