"""Sweeps: the same everywhere, resumable, and honest about luck and failures."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import Field

from models.errors import BadValue, ConfigError
from models.sweeps import SweepResult, TrialEnd
from strategies import library
from strategies.base import Intents, Strategy, StrategyParams, View
from tasks.backtesting import Progress, Stopped
from tasks.sweeping import keep
from tasks.sweeping.crew import Alone, Processes
from tasks.sweeping.page import render_sweep
from tasks.sweeping.plan import make_plan
from tasks.sweeping.run import Saved, Sweep
from tests.tasks.report.test_markup import read
from tests.tasks.sweep_kit import Deadly, settings_at, small_tape, sweep_spec


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_tape(tmp_path_factory.mktemp("tape") / "small.tape")


@pytest.fixture(scope="module")
def whole(tape: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A sweep that nothing disturbed."""
    home = tmp_path_factory.mktemp("whole")
    return Sweep(sweep_spec(tape), settings_at(home)).run()


def same(first: SweepResult, second: SweepResult) -> bool:
    """Whether two sweeps found the same, whoever did the work."""
    return first.model_copy(update={"spec": {}}) == second.model_copy(update={"spec": {}})


def test_each_fold_chooses_its_best_in_training_and_is_judged_on_what_came_after(
    whole: Saved,
) -> None:
    result = whole.result
    assert [fold.tried for fold in result.folds] == [6, 6]
    before = None
    for fold in result.folds:
        assert fold.train_end_ns <= fold.test_start_ns < fold.test_end_ns
        assert before is None or fold.test_start_ns == before
        before = fold.test_end_ns
        trials = [t for t in result.of_fold(fold.fold) if t.end is TrialEnd.OK]
        chosen = result.chosen(fold)
        assert chosen.figures.pnl_e6 == max(t.figures.pnl_e6 for t in trials)
        assert chosen.judged is not None
        assert 0 <= fold.deflated_sharpe <= 1
    tests = [result.chosen(fold).judged for fold in result.folds]
    assert result.out_of_sample.pnl_e6 == sum(test.pnl_e6 for test in tests)
    assert result.out_of_sample.fills == sum(test.fills for test in tests) > 0
    assert result.out_of_sample.max_drawdown_e6 >= -result.out_of_sample.pnl_e6
    assert len({t.figures.pnl_e6 for t in result.of_fold(0)}) > 1


def test_results_are_kept_as_table_json_and_page(whole: Saved) -> None:
    table = pq.read_table(whole.folder / "trials.parquet")
    assert table.num_rows == len(whole.result.trials) == 12
    assert table["param_lookback_s"].to_pylist() == [
        trial.parameters["lookback_s"] for trial in whole.result.trials
    ]
    assert keep.load_result(whole.folder) == whole.result
    page = (whole.folder / "report.html").read_text()
    shown = read(page.removeprefix("<!doctype html>\n"))
    assert "lookback_s" in shown.words
    assert "Probability of overfitting" in shown.words
    assert not (whole.folder / keep.PARTS).exists()


def test_processes_find_the_same_as_one_alone(tape: Path, tmp_path: Path, whole: Saved) -> None:
    saved = Sweep(sweep_spec(tape, workers=2), settings_at(tmp_path)).run()
    assert same(saved.result, whole.result)
    # The number of workers is no part of what makes a sweep another one.
    assert saved.folder.name == whole.folder.name


def test_a_stopped_sweep_goes_on_where_it_was(tape: Path, tmp_path: Path, whole: Saved) -> None:
    settings = settings_at(tmp_path)

    def stop(progress: Progress) -> None:
        if progress.done == 4:
            first.stop()

    first = Sweep(sweep_spec(tape), settings, stop)
    with pytest.raises(Stopped):
        first.run()
    (folder,) = (tmp_path / "sweeps").iterdir()
    assert not (folder / keep.RESULT).exists()
    with (folder / keep.LOG).open("ab") as log:
        log.write(b'{"name":"train-0{\\"lookback_s')  # the line that was being written
    again = Sweep(sweep_spec(tape), settings).run()
    assert again.resumed == 4
    assert again.folder == folder
    assert same(again.result, whole.result)
    # A finished one is only read; a fresh one begins anew and finds the same.
    assert Sweep(sweep_spec(tape), settings).run().result == again.result
    fresh = Sweep(sweep_spec(tape), settings, fresh=True).run()
    assert fresh.resumed == 0
    assert same(fresh.result, whole.result)


def test_a_sweep_is_held_by_one_process(tape: Path, tmp_path: Path, whole: Saved) -> None:
    folder = tmp_path / "sweeps" / whole.folder.name
    with keep.alone_in(folder), pytest.raises(BadValue, match="running already"):
        Sweep(sweep_spec(tape), settings_at(tmp_path)).run()


@pytest.mark.parametrize(
    "changes",
    [
        {"sampler": "tpe", "trials": 10, "walk_forward": None},
        {
            "sampler": "nsga2", "trials": 8, "walk_forward": None,
            "objectives": ["pnl", "max_drawdown"],
        },
        {
            "sampler": "grid", "trials": 5, "walk_forward": None,
            "space": {"lookback_s": [20, 40], "threshold_pct": [0.05, 0.1]},
        },
    ],
    ids=["tpe", "nsga2", "grid"],
)  # fmt: skip
def test_every_sampler_is_repeatable(tape: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    spec = sweep_spec(tape, **changes)
    first = Sweep(spec, settings_at(tmp_path / "a")).run().result
    second = Sweep(spec, settings_at(tmp_path / "b")).run().result
    assert first == second
    count = 4 if changes["sampler"] == "grid" else changes["trials"]
    assert len(first.trials) == count
    assert first.out_of_sample is None
    if changes["sampler"] == "grid":
        assert len({repr(trial.parameters) for trial in first.trials}) == 4


class Brittle(Strategy):
    """Raises where its parameter says so."""

    class Params(StrategyParams):
        breaks_at: int = Field(0, ge=0, le=3)

    name = "brittle"

    def on_start(self, view: View) -> Intents:
        if self.params.breaks_at == 2:
            raise RuntimeError("two is too much")
        return None


def test_a_set_that_fails_is_told_and_the_rest_goes_on(
    tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(library.STRATEGIES, "brittle", Brittle)
    spec = sweep_spec(tape, sampler="grid", walk_forward=None, space={"breaks_at": [1, 2, 3]})
    agent = spec.run.agents[0].model_copy(update={"strategy": "brittle", "parameters": {}})
    spec = spec.model_copy(update={"run": spec.run.model_copy(update={"agents": (agent,)})})
    result = Sweep(spec, settings_at(tmp_path)).run().result
    ends = {trial.parameters["breaks_at"]: trial.end for trial in result.trials}
    assert ends == {1: TrialEnd.OK, 2: TrialEnd.FAILED, 3: TrialEnd.OK}
    (failed,) = [trial for trial in result.trials if trial.end is TrialEnd.FAILED]
    assert "two is too much" in failed.note
    assert "two is too much" in render_sweep(result, spec)


def test_what_lost_too_much_or_never_traded_is_not_chosen(tape: Path, tmp_path: Path) -> None:
    space = {"threshold_pct": [0.02, 0.1, 20.0], "lookback_s": [10, 60]}
    words = {
        "sampler": "grid", "space": space, "walk_forward": None, "objectives": ["max_drawdown"],
    }  # fmt: skip
    first = Sweep(sweep_spec(tape, **words), settings_at(tmp_path)).run().result
    worst = min(trial.figures.pnl_e6 for trial in first.trials)
    assert worst < 0
    # Without a trade nothing is lost: by the drawdown alone it would be the best.
    assert first.chosen(first.folds[0]).parameters["threshold_pct"] == 20.0
    careful = sweep_spec(
        tape, **{**words, "objectives": ["profit_factor"]}, max_loss_usd=Decimal(-worst - 1) / 10**6
    )
    second = Sweep(careful, settings_at(tmp_path)).run().result
    for trial in second.trials:
        if trial.figures.pnl_e6 <= worst:
            assert trial.end is TrialEnd.LOST
        elif trial.parameters["threshold_pct"] == 20.0:
            assert trial.end is TrialEnd.UNDEFINED
    chosen = second.chosen(second.folds[0])
    assert chosen is None or chosen.end is TrialEnd.OK


@pytest.fixture
def crew() -> Iterator[Processes]:
    with Processes(2, lambda: False) as processes:
        yield processes


def test_a_process_that_dies_costs_its_own_job_only(
    tape: Path, tmp_path: Path, crew: Processes
) -> None:
    plan, _ = make_plan(sweep_spec(tape), settings_at(tmp_path))
    good = plan.job(plan.folds[0].train, {"lookback_s": 20, "threshold_pct": 0.05})
    agent = replace(good.config.agents[0], strategy=Deadly(Deadly.Params()))
    bad = replace(good, config=replace(good.config, agents=(agent,)))
    found = dict(crew.do([good, bad, good, good]))
    assert "its process died" in found[1].failure
    alone = dict(Alone(lambda: False).do([good]))[0]
    assert sum(alone.returns) * 500e6 == pytest.approx(alone.figures.pnl_e6)
    assert alone.figures.pnl_e6 != 0
    for place in (0, 2, 3):
        assert found[place].figures == alone.figures
        assert found[place].returns.tolist() == alone.returns.tolist()


def test_a_screen_looks_at_many_and_the_best_are_backtested(tape: Path, tmp_path: Path) -> None:
    spec = sweep_spec(
        tape, screen=200, trials=3, space={"lookback_s": {"low": 5, "high": 60},
                                           "threshold_pct": {"low": 0.01, "high": 0.3}},
    )  # fmt: skip
    result = Sweep(spec, settings_at(tmp_path)).run().result
    assert [(fold.screened, fold.tried) for fold in result.folds] == [(200, 3), (200, 3)]
    assert all(float(t.parameters["lookback_s"]).is_integer() for t in result.trials)
    assert all(t.figures.fills > 0 for t in result.trials)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"space": {"lookbak_s": [1]}}, "did you mean 'lookback_s'"),
        ({"sampler": "grid", "space": {"lookback_s": {"low": 5, "high": 9}}}, "needs a step"),
        ({"walk_forward": {"folds": 50}}, "too short for 50 folds"),
    ],
)
def test_what_can_not_be_swept_is_refused_before_anything_runs(
    tape: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises((ConfigError, BadValue), match=reason):
        Sweep(sweep_spec(tape, **changes), settings_at(tmp_path)).run()
    assert not (tmp_path / "sweeps").exists()
