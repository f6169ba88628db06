"""Adverse selection: signs, weights, and what is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.results.adverse import adverse_selection
from models.units import SHARE, notional_e6
from tests.engine.results.runs import tables

UP, DOWN, BUY, SELL = 0, 1, 0, 1


def fill(outcome, side, mid=5_000, later=5_000, size=10, price=5_000, maker=True):
    return {
        "time_ns": 0, "agent": 0, "market": 0, "order_id": "", "outcome": outcome, "side": side,
        "maker": maker, "size_e6": size * SHARE, "cash_e6": notional_e6(price, size * SHARE),
        "fee_e6": 0, "mid_e4": mid, "mid_1s_e4": later, "mid_5s_e4": later, "mid_30s_e4": -1,
    }  # fmt: skip


def measure(*fills, role="all", horizon=1):
    found = adverse_selection(tables(fills=list(fills))["fills"])
    return next(row for row in found if row.role == role and row.horizon_s == horizon)


@pytest.mark.parametrize(
    ("outcome", "side", "against"),
    [(UP, BUY, -2.0), (UP, SELL, 2.0), (DOWN, BUY, 2.0), (DOWN, SELL, -2.0)],
)
def test_up_rising_two_cents_is_against_those_who_are_short_of_it(outcome, side, against):
    assert measure(fill(outcome, side, later=5_200)).adverse_cents == pytest.approx(against)


@pytest.mark.parametrize(
    ("outcome", "side", "price", "edge"),
    [
        (UP, BUY, 4_900, 1.0),
        (UP, SELL, 4_900, -1.0),
        (DOWN, BUY, 4_900, 1.0),
        (DOWN, SELL, 5_300, 3.0),
    ],
)
def test_the_edge_is_how_much_better_than_the_mid(outcome, side, price, edge):
    assert measure(fill(outcome, side, price=price)).edge_cents == pytest.approx(edge)


def test_what_is_kept_is_worth_at_the_new_mid():
    """Bought Up at 0.49 with the mid at 0.50, which falls to 0.47: 2 cents a share are lost."""
    found = measure(fill(UP, BUY, price=4_900, later=4_700))
    assert (found.edge_cents, found.adverse_cents) == (pytest.approx(1), pytest.approx(3))
    assert found.kept_cents == pytest.approx(-2)


def test_fills_weigh_by_their_shares():
    found = measure(fill(UP, BUY, later=5_400, size=30), fill(UP, BUY, later=5_000, size=10))
    assert found.adverse_cents == pytest.approx(-3.0)


def test_makers_and_takers_are_apart():
    fills = (fill(UP, BUY, later=4_900), fill(UP, BUY, later=5_100, maker=False))
    assert measure(*fills, role="maker").adverse_cents == pytest.approx(1)
    assert measure(*fills, role="taker").adverse_cents == pytest.approx(-1)
    assert measure(*fills).adverse_cents == pytest.approx(0)


def test_fills_without_a_mid_are_left_out_and_counted():
    found = measure(fill(UP, BUY, mid=-1), fill(UP, BUY, later=-1), fill(UP, BUY, later=5_100))
    assert (found.fills, found.left_out) == (1, 2)
    assert found.adverse_cents == pytest.approx(-1)
    assert measure(fill(UP, BUY), horizon=30).adverse_cents is None


def test_one_fill_has_no_error_and_equal_fills_none_at_all():
    assert measure(fill(UP, BUY)).error_cents is None
    assert measure(fill(UP, BUY), fill(UP, BUY)).error_cents == 0.0


@given(st.lists(st.integers(4_000, 6_000), min_size=2, max_size=30))
def test_the_error_is_that_of_a_mean_when_all_are_of_one_size(laters):
    import statistics

    found = measure(*[fill(UP, BUY, later=later) for later in laters])
    moved = [(5_000 - later) / 100 for later in laters]
    assert found.adverse_cents == pytest.approx(statistics.mean(moved), abs=1e-9)
    assert found.error_cents == pytest.approx(statistics.stdev(moved) / len(moved) ** 0.5, abs=1e-9)


@given(st.integers(4_000, 6_000), st.integers(4_000, 6_000), st.integers(1, 99))
def test_the_other_outcome_is_the_mirror(later, price, size):
    up = measure(fill(UP, BUY, later=later, price=price, size=size))
    down = measure(fill(DOWN, SELL, later=later, price=10_000 - price, size=size))
    assert up.adverse_cents == pytest.approx(down.adverse_cents)
    assert up.edge_cents == pytest.approx(down.edge_cents)
