from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue, ConfigError
from models.settings import Settings
from risk.resolution import Market, Stake, worst_case
from risk.stress import (
    SCENARIOS,
    Book,
    Orders,
    RestingOrder,
    Scenario,
    scenarios_of,
    stress,
)

USD = 1_000_000
NOW = {"BTC": Market(60_000, 1e-4), "ETH": Market(3_000, 1.2e-4)}
CORRELATION = {("BTC", "ETH"): 0.8}
LONG_UP = Stake("btc", "BTC", 60_000, 600, up_e6=100 * USD, down_e6=0, cost_e6=50 * USD)
BOOK = Book([LONG_UP], NOW, CORRELATION)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def after(name: str, book: Book = BOOK) -> int:
    (found,) = stress(book, [BY_NAME[name]])
    return found.after_e6


def test_a_crash_costs_who_is_long_and_pays_who_is_short() -> None:
    (found,) = stress(BOOK, [BY_NAME["crash-2024-08-05"]])
    assert abs(found.before_e6) < 2 * USD
    assert found.after_e6 == -50 * USD
    assert found.change_e6 == found.after_e6 - found.before_e6
    short = Book([replace(LONG_UP, up_e6=0, down_e6=100 * USD)], NOW, CORRELATION)
    assert after("crash-2024-08-05", short) == 50 * USD
    assert after("flash-rally", short) == -50 * USD


def test_a_spike_of_volatility_brings_a_sure_thing_back_into_doubt() -> None:
    sure = Book([replace(LONG_UP, strike=59_800)], NOW, CORRELATION)
    calm, wild = stress(sure, [Scenario(name="none"), BY_NAME["volatility-spike"]])
    assert calm.change_e6 == 0
    assert wild.change_e6 < -20 * USD


def test_an_outage_fills_every_order_and_loses_them_all() -> None:
    orders = [RestingOrder("btc", 0, 40 * USD, 20 * USD), RestingOrder("eth", 10 * USD, 0, 5 * USD)]
    book = Book([LONG_UP, Stake("eth", "ETH", 3_000, 600, 0, 0, 0)], NOW, CORRELATION, orders)
    assert after("all-wrong", book) == -50 * USD
    # 100 Up for 50 and 40 Down for 20: the worse side of the first market pays 40.
    assert after("venue-outage", book) == (40 - 70) * USD - 5 * USD


def test_assets_that_move_as_one_have_the_fatter_tail() -> None:
    both = Book(
        [LONG_UP, replace(LONG_UP, name="eth", asset="ETH", strike=3_000)], NOW, {("BTC", "ETH"): 0}
    )
    apart, together = stress(both, [Scenario(name="none"), BY_NAME["correlation-one"]])
    assert together.es_e6 == 100 * USD
    assert apart.es_e6 <= together.es_e6
    assert together.worst_e6 == apart.worst_e6 == -100 * USD


def test_the_crash_is_the_one_that_was_recorded() -> None:
    folder = Settings().floor_data_dir / "spot_binance_1m"
    for asset, fall in BY_NAME["crash-2024-08-05"].spot.items():
        table = pq.read_table(folder / f"{asset}USDT_1m_2024-07-26_2024-08-25.parquet")
        closes = table.column("close").to_numpy()
        assert np.min(closes[15:] / closes[:-15] - 1) == pytest.approx(fall, abs=1e-4)


@given(
    up=st.integers(0, 100 * USD), down=st.integers(0, 100 * USD), cost=st.integers(0, 100 * USD),
    filled=st.integers(0, 50 * USD), name=st.sampled_from(sorted(BY_NAME)),
)  # fmt: skip
def test_no_scenario_is_worse_than_its_worst_case(
    up: int, down: int, cost: int, filled: int, name: str
) -> None:
    stake = replace(LONG_UP, up_e6=up, down_e6=down, cost_e6=cost)
    order = RestingOrder("btc", filled, 0, filled)
    (found,) = stress(Book([stake], NOW, CORRELATION, [order]), [BY_NAME[name]], paths=400)
    assert found.worst_e6 <= found.after_e6 + 1
    assert -found.es_e6 >= found.worst_e6 - 1
    if BY_NAME[name].orders is Orders.CANCELLED:
        assert found.worst_e6 == worst_case([stake]).total_e6


def test_an_empty_book_has_nothing_to_lose() -> None:
    found = stress(Book([], {}, {}))
    assert [one.scenario.name for one in found] == list(BY_NAME)
    assert all(one.after_e6 == one.worst_e6 == 0 for one in found)


def test_scenarios_can_be_written_down() -> None:
    raw = {"scenarios": [{"name": "dip", "spot": {"BTC": -0.02}, "orders": "filled"}]}
    assert scenarios_of(raw, "x.yaml") == (
        Scenario(name="dip", spot={"BTC": -0.02}, orders=Orders.FILLED),
    )


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ({}, "x.yaml: must hold a list of scenarios"),
        ([{"name": "a", "volatilty": 2}], "scenario a: unknown key 'volatilty'; did you mean"),
        ([{"name": "a", "spot": {"BTC": -1.5}}], r"scenario a: spot.BTC=-1.5"),
        ([{"spot": {}}], "scenario 1: key 'name' is missing"),
        ([{"name": "a"}, {"name": "a"}], "two scenarios are called 'a'"),
        ([{"name": "a", "correlation": float("nan")}], "correlation=nan"),
        (["a"], "scenario 1: it='a'"),
    ],
)
def test_a_wrong_scenario_is_named(raw: object, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        scenarios_of(raw, "x.yaml")


def test_an_order_without_its_market_is_named() -> None:
    book = Book([LONG_UP], NOW, CORRELATION, [RestingOrder("other", 1, 0, 1)])
    with pytest.raises(BadValue, match="an open order is for 'other'"):
        stress(book, [BY_NAME["venue-outage"]])
