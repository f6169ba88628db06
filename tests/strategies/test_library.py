"""Strategies by name, with errors that say what is allowed."""

import pytest

from models.errors import ConfigError
from strategies import library
from strategies.market_maker import MarketMaker
from strategies.momentum import Momentum


def test_known_strategies_are_built_with_their_parameters():
    momentum = library.create("momentum", {"lookback_s": 60, "threshold_pct": 0.1})
    assert isinstance(momentum, Momentum)
    assert momentum.params.lookback_s == 60
    assert isinstance(library.create("market-maker", {}), MarketMaker)


@pytest.mark.parametrize(
    ("name", "parameters", "parts"),
    [
        (
            "momentun",
            {},
            ["'momentun'", "did you mean 'momentum'", "market-maker, mean-reversion, momentum"],
        ),
        ("x", {}, ["unknown strategy 'x'", "market-maker, mean-reversion, momentum"]),
        (
            "momentum",
            {"treshold_pct": 1},
            ["momentum: unknown parameter 'treshold_pct'", "'threshold_pct'", "budget_usd"],
        ),
        (
            "momentum",
            {"threshold_pct": -1},
            ["momentum: threshold_pct=-1", "greater than 0", "percent"],
        ),
        ("momentum", {"budget_usd": "many"}, ["budget_usd='many'", "valid number"]),
        ("momentum", {"budget_usd": float("nan")}, ["budget_usd=nan"]),
        ("market-maker", {"size_shares": 4}, ["size_shares=4", "greater than or equal to 5"]),
        ("market-maker", {"book_weight": 1.5}, ["book_weight=1.5", "less than or equal to 1"]),
        ("momentum", {1: 2}, ["parameter names must be text"]),
    ],
)
def test_a_wrong_name_or_value_is_one_clear_error(name, parameters, parts):
    with pytest.raises(ConfigError) as caught:
        library.create(name, parameters)
    for part in parts:
        assert part in str(caught.value)


def test_every_fault_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        library.create("momentum", {"budget_usd": 0, "lookbak_s": 1})
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("kind", library.STRATEGIES.values())
def test_every_strategy_explains_itself_and_its_parameters(kind):
    assert "weakness" in kind.__doc__
    for name, field in kind.Params.model_fields.items():
        assert field.description, name
        assert field.default is not None, name
    kind(kind.Params())
