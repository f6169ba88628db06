"""Money, windows and orders: counted, and equal to what the run's own books say."""

import numpy as np
import pytest
from hypothesis import given

from engine.results.summary import summarise
from engine.results.trades import order_figures, window_figures
from models.results import UNRESOLVED
from models.units import SHARE, USD
from tests.engine.results.runs import runs, tables


def window(pnl, winner=0, closed=0):
    row = dict.fromkeys(
        ("market", "bought_e6", "sold_e6", "fees_e6", "payout_e6", "fills", "opened_ns"), 0
    )
    return row | {"agent": 0, "winner": winner, "pnl_e6": pnl * USD, "closed_ns": closed}


def test_windows_by_hand():
    rows = [window(5, closed=5), window(-2, closed=1), window(-2, closed=2), window(0, closed=3),
            window(-1, closed=4), window(-99, winner=UNRESOLVED)]  # fmt: skip
    found = window_figures(tables(windows=rows)["windows"])
    assert (found.count, found.unresolved, found.won, found.lost) == (6, 1, 1, 3)
    assert found.win_rate == pytest.approx(1 / 5)
    assert found.profit_factor == 1.0
    assert found.expectancy_e6 == 0
    assert found.mean_loss_e6 == pytest.approx(-5 * USD / 3)
    assert (found.best_e6, found.worst_e6) == (5 * USD, -2 * USD)
    assert found.longest_losing_streak == 2


def test_without_windows_everything_is_undefined():
    found = window_figures(tables()["windows"])
    assert (found.count, found.win_rate, found.profit_factor, found.best_e6) == (
        0,
        None,
        None,
        None,
    )


def order(size, filled, state="cancelled"):
    row = dict.fromkeys(("market", "outcome", "side", "price_e4", "created_ns", "ended_ns"), 0)
    text = dict.fromkeys(("order_id", "tif", "reason", "note"), "")
    return row | text | {
        "agent": 0, "size_e6": size * SHARE, "filled_e6": filled * SHARE, "state": state,
        "post_only": False,
    }  # fmt: skip


def fill(size, maker):
    row = dict.fromkeys(
        ("time_ns", "agent", "market", "outcome", "side", "cash_e6", "fee_e6", "mid_e4",
         "mid_1s_e4", "mid_5s_e4", "mid_30s_e4"), 0,
    )  # fmt: skip
    return row | {"order_id": "", "maker": maker, "size_e6": size * SHARE}


def test_orders_by_hand():
    """A market buy that got more than it asked for does not make up for what others missed."""
    made = tables(
        orders=[order(10, 10, "filled"), order(10, 12, "filled"), order(20, 0)],
        fills=[fill(10, True), fill(12, False)],
    )
    found = order_figures(made["orders"], made["fills"])
    assert found.by_state == {"cancelled": 1, "filled": 2}
    assert (found.count, found.filled_any, found.fills) == (3, 2, 2)
    assert found.fill_ratio == pytest.approx(0.5)
    assert found.maker_share == pytest.approx(10 / 22)


def test_without_orders_ratios_are_undefined():
    found = order_figures(tables()["orders"], tables()["fills"])
    assert (found.count, found.fill_ratio, found.maker_share) == (0, None, None)


@given(runs())
def test_money_is_exact_and_adds_up(result):
    summary = summarise(result)
    parts = [agent.money for agent in summary.agents]
    total = summary.total.money
    for name in ("capital_e6", "final_e6", "pnl_e6", "settled_pnl_e6", "unsettled_pnl_e6",
                 "bought_e6", "sold_e6", "payout_e6", "fees_e6", "turnover_e6"):  # fmt: skip
        assert getattr(total, name) == sum(getattr(part, name) for part in parts)
    fills, windows = result.tables["fills"], result.tables["windows"]
    bought = int(fills["cash_e6"][fills["side"] == 0].sum())
    assert (total.bought_e6, total.fees_e6) == (bought, int(fills["fee_e6"].sum()))
    assert total.pnl_e6 == total.settled_pnl_e6 + total.unsettled_pnl_e6
    if not np.any(windows["winner"] == UNRESOLVED):
        assert total.unsettled_pnl_e6 == 0
