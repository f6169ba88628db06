"""Money, windows and orders of a run, counted exactly."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.results.curves import Curve
from models.results import UNRESOLVED
from models.summary import Money, Orders, Windows
from risk.outcomes import expectancy, longest_losing_streak, profit_factor, turnover, win_rate
from risk.performance import defined

Rows = Mapping[str, npt.NDArray[Any]]


def money(line: Curve, windows: Rows) -> Money:
    """Split the P&L into what windows settled and what is still open at its value."""
    settled = int(windows["pnl_e6"][windows["winner"] != UNRESOLVED].sum())
    bought, sold = int(windows["bought_e6"].sum()), int(windows["sold_e6"].sum())
    pnl = line.final_e6 - line.capital_e6
    return Money(
        capital_e6=line.capital_e6,
        final_e6=line.final_e6,
        pnl_e6=pnl,
        settled_pnl_e6=settled,
        unsettled_pnl_e6=pnl - settled,
        bought_e6=bought,
        sold_e6=sold,
        payout_e6=int(windows["payout_e6"].sum()),
        fees_e6=int(windows["fees_e6"].sum()),
        turnover_e6=bought + sold,
        turnover_of_capital=turnover(bought + sold, line.capital_e6),
    )


def window_figures(windows: Rows) -> Windows:
    """Count the windows that won and lost; those of several agents count for each."""
    resolved = windows["winner"] != UNRESOLVED
    closed = windows["closed_ns"][resolved]
    pnl = windows["pnl_e6"][resolved][np.argsort(closed, kind="stable")]
    won, lost = pnl[pnl > 0], pnl[pnl < 0]
    return Windows(
        count=len(resolved),
        unresolved=len(resolved) - len(pnl),
        won=len(won),
        lost=len(lost),
        win_rate=defined(win_rate(pnl)),
        profit_factor=defined(profit_factor(pnl)),
        expectancy_e6=defined(expectancy(pnl)),
        mean_win_e6=defined(expectancy(won)),
        mean_loss_e6=defined(expectancy(lost)),
        best_e6=int(pnl.max()) if len(pnl) else None,
        worst_e6=int(pnl.min()) if len(pnl) else None,
        longest_losing_streak=longest_losing_streak(pnl),
    )


def order_figures(orders: Rows, fills: Rows) -> Orders:
    """Count orders by how they ended, and how much of what was ordered came."""
    states, counts = np.unique(orders["state"], return_counts=True)
    ordered, filled = orders["size_e6"], orders["filled_e6"]
    asked, traded = int(ordered.sum()), int(fills["size_e6"].sum())
    made = int(fills["size_e6"][fills["maker"]].sum())
    return Orders(
        count=len(ordered),
        by_state={str(state): int(n) for state, n in zip(states, counts, strict=True)},
        filled_any=int((filled > 0).sum()),
        fill_ratio=int(np.minimum(filled, ordered).sum()) / asked if asked else None,
        fills=len(fills["size_e6"]),
        maker_share=made / traded if traded else None,
    )
