from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from engine.sweep.space import grid, space_of, values_of
from models.errors import ConfigError
from models.runs import Range, RunSpec, SweepSpec
from strategies.base import StrategyParams
from strategies.library import STRATEGIES
from strategies.momentum import MomentumParams


class Odd(StrategyParams):
    count: int = Field(3, gt=0, lt=10)
    share: float = Field(0.5, gt=0, lt=1)
    side: Literal["up", "down"] = "up"
    bold: bool = False
    free: float = 1.0


def test_without_a_wish_everything_with_bounds_is_searched_within_them() -> None:
    space = space_of(Odd, {})
    assert space["count"] == Range(low=1, high=9, step=1)
    assert space["side"] == ("up", "down")
    assert space["bold"] == (False, True)
    assert "free" not in space


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_the_ends_of_every_natural_range_are_allowed(name: str) -> None:
    kind = STRATEGIES[name].Params
    for field, search in space_of(kind, {}).items():
        ends = (search.low, search.high) if isinstance(search, Range) else search
        for value in ends:
            kind.model_validate({field: value})


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        ({"lookbak_s": (1, 2)}, "no parameter 'lookbak_s'; did you mean 'lookback_s'"),
        ({"lookback_s": (60, 5000)}, "lookback_s=5000: Input should be less than or equal to 3600"),
        ({"lookback_s": Range(low=1, high=60)}, "lookback_s=1.0: Input should be greater"),
        ({"lookback_s": ("long",)}, "lookback_s='long': Input should be a valid number"),
    ],
)
def test_a_space_its_strategy_refuses_is_named(wanted: dict, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        space_of(MomentumParams, wanted)


@given(low=st.integers(-50, 50), count=st.integers(1, 40), step=st.sampled_from([0.1, 0.25, 1, 3]))
def test_a_range_with_a_step_has_both_its_ends(low: int, count: int, step: float) -> None:
    values = values_of("x", Range(low=low, high=low + count * step, step=step))
    assert len(values) == count + 1
    assert values[0] == low
    assert values[-1] == pytest.approx(low + count * step)


def test_a_grid_has_every_combination_once() -> None:
    found = list(grid({"a": (1, 2), "b": Range(low=0, high=2, step=1)}))
    assert len(found) == 6
    assert found[0] == {"a": 1, "b": 0}
    assert len({tuple(point.items()) for point in found}) == 6


def test_a_grid_needs_steps_and_an_end() -> None:
    with pytest.raises(ConfigError, match="a needs a step"):
        list(grid({"a": Range(low=0, high=1)}))
    with pytest.raises(ConfigError, match="more than 1,000,000"):
        list(grid({name: tuple(range(200)) for name in "abc"}))


AGENT = {
    "name": "mo",
    "strategy": "momentum",
    "markets": [{"asset": "BTC", "timeframe": "15m"}],
    "capital_usd": 100,
}


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"agents": [AGENT, AGENT]}, "two agents are called 'mo'"),
        ({"agents": [AGENT], "start": "yesterday"}, "'yesterday' is not a time"),
        ({"agents": [AGENT], "start": "2026-02-22", "end": "2026-02-21"}, "must be before end"),
        ({"agents": [AGENT], "fil_model": "back"}, "fil_model"),
    ],
)
def test_a_wrong_run_is_named(spec: dict, fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        RunSpec.model_validate({"data": "x", **spec})


def test_times_without_a_zone_are_utc() -> None:
    spec = RunSpec.model_validate({"data": "x", "agents": [AGENT], "start": "2026-02-21"})
    assert spec.start is not None
    assert spec.start.isoformat() == "2026-02-21T00:00:00+00:00"


@pytest.mark.parametrize(
    ("sweep", "fault"),
    [
        ({"agent": "x"}, "agent 'x' is none of"),
        ({"objectives": ["pnl", "max_drawdown"]}, "need sampler nsga2"),
        ({"objectives": ["pnl", "pnl"], "sampler": "nsga2"}, "named twice"),
        ({"dask": "localhost:8786"}, "dask"),
        ({"space": {"lookback_s": {"low": 5, "high": 5}}}, "must be below"),
    ],
)
def test_a_wrong_sweep_is_named(sweep: dict, fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        SweepSpec.model_validate({"run": {"data": "x", "agents": [AGENT]}, **sweep})
