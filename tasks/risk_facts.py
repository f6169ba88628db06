"""What every order's check is told of the whole floor, worked out of its book."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from models.errors import BadValue
from risk.breaker_rules import OF_MARKET, kind_of, subject_of
from risk.breakers import Status
from risk.guard import Board
from risk.policies import PolicyFile, VarLimit
from risk.resolution import Distribution, Stake, simulate, worst_case
from risk.stress import RestingOrder
from tasks.risk_book import FloorBook

log = structlog.get_logger(__name__)

PATHS = 20_000
SEED = 7


@dataclass(frozen=True, slots=True)
class Worth:
    """What the book may lose: VaR and ES at the policy's confidence, and at the very worst."""

    confidence: float
    var_e6: int
    es_e6: int
    worst_e6: int
    """Loss at resolution that no prices can pass, as a positive number."""
    exact: bool
    """False where the book could not be simulated and its worst case stands in."""


def var_policy(file: PolicyFile) -> VarLimit:
    """The file's VarLimit, or the defaults of one."""
    return file.find("VarLimit") or VarLimit(type="VarLimit", max_usd=10**9)


def filled(stakes: Sequence[Stake], orders: Sequence[RestingOrder]) -> list[Stake]:
    """The stakes if every resting BUY were filled."""
    by_name = {stake.name: stake for stake in stakes}
    for order in orders:
        stake = by_name[order.stake]
        by_name[order.stake] = replace(
            stake,
            up_e6=stake.up_e6 + order.up_e6,
            down_e6=stake.down_e6 + order.down_e6,
            cost_e6=stake.cost_e6 + order.cost_e6,
        )
    return list(by_name.values())


def distribution(found: FloorBook, stakes: Sequence[Stake], paths: int = PATHS) -> Distribution:
    """Simulate the book to its resolution. Raises `BadValue` where the model cannot."""
    return simulate(stakes, found.book.markets, found.book.correlation, paths, SEED)


def worth(found: FloorBook, file: PolicyFile, paths: int = PATHS) -> Worth:
    """VaR and ES to resolution, as it is or with all resting BUYs filled, whichever is more.

    A market that resolves after the policy's horizon counts to its resolution too.
    """
    confidence = var_policy(file).confidence
    books = [list(found.book.stakes)]
    if found.book.orders:
        books.append(filled(found.book.stakes, found.book.orders))
    books = [[one for one in book if one.up_e6 or one.down_e6 or one.cost_e6] for book in books]
    worst = max((-worst_case(book).total_e6 for book in books if book), default=0)
    try:
        tails = [distribution(found, book, paths).tail(confidence) for book in books if book]
    except BadValue as error:
        log.warning("book_not_simulated", reason=str(error))
        return Worth(confidence, max(0, worst), max(0, worst), max(0, worst), exact=False)
    return Worth(
        confidence,
        max((round(max(0.0, tail.var)) for tail in tails), default=0),
        max((round(max(0.0, tail.es)) for tail in tails), default=0),
        max(0, worst),
        exact=True,
    )


def facts_of(found: FloorBook, file: PolicyFile, day_pnl_e6: int) -> dict[str, Any]:
    """The numbers of `risk.gate.Facts` that all agents share; Greeks as delta, gamma, vega."""
    value = worth(found, file)
    return {
        "at_ns": found.at_ns,
        "floor_day_pnl_e6": day_pnl_e6,
        "floor_shares_e6": found.one_sided_e6,
        "var_e6": value.var_e6,
        "es_e6": value.es_e6,
        "worst_e6": value.worst_e6,
        "greeks": {
            asset: [one.delta, one.gamma, one.vega] for asset, one in found.greeks().items()
        },
        "up_greeks": {
            condition_id: [one.delta, one.gamma, one.vega]
            for condition_id, one in found.per_share().items()
        },
    }


def breaker_facts(board: Board, windows: Mapping[str, str]) -> dict[str, Any]:
    """What breakers say: why which of them stop (by full name), and the shares of trials.

    `windows` maps slugs of open windows to condition ids, by which stopped markets are told too.
    """
    return {
        "markets": {
            windows[subject_of(name)]: f"breaker {name}: {one.state.reason}"
            for name, one in sorted(board.breakers.items())
            if one.stops and kind_of(name) in OF_MARKET and subject_of(name) in windows
        },
        "stops": {
            name: one.state.reason for name, one in sorted(board.breakers.items()) if one.stops
        },
        "trials": {
            name: one.share
            for name, one in sorted(board.breakers.items())
            if one.state.status is Status.HALF_OPEN
        },
    }
