"""Checks that an exchange's books add up, to the base unit."""

from collections.abc import Iterator

import numpy as np

from engine.matching.kernels import layout as at
from engine.matching.ledger import Ledger
from engine.matching.market import MarketState


def imbalances(exchange: Ledger) -> list[str]:
    """Everything that does not add up, in words; empty for a sound exchange.

    Cash in accounts and pools is what was deposited; each market has as many shares of Up as of
    Down as collateral; limited accounts owe nothing; what is locked is what open orders lock;
    the book is not crossed, its levels hold what their orders hold, oldest first.
    """
    return [*_cash(exchange), *_accounts(exchange), *_markets(exchange)]


def _cash(exchange: Ledger) -> Iterator[str]:
    cash = int(exchange._accounts[:, at.CASH].sum())
    pools = [exchange.pools(condition_id) for condition_id in exchange.markets]
    held = sum(p.collateral_e6 + p.fees_e6 + p.rounding_e6 for p in pools)
    if cash + held != exchange.deposited_e6:
        paid_in = exchange.deposited_e6
        yield f"cash: accounts {cash} and pools {held} e6 are not the {paid_in} e6 deposited"


def _accounts(exchange: Ledger) -> Iterator[str]:
    for number, name in enumerate(exchange.accounts):
        row = exchange._accounts[number]
        locked = sum(
            _locked_cash(state, number) + _delayed_cash(state, number)
            for state in exchange._states.values()
        )
        if int(row[at.CASH_LOCKED]) != locked:
            yield f"{name}: {row[at.CASH_LOCKED]} e6 of cash locked, orders lock {locked}"
        if not row[at.UNLIMITED] and not 0 <= row[at.CASH_LOCKED] <= row[at.CASH]:
            yield f"{name}: cash {row[at.CASH]} e6, {row[at.CASH_LOCKED]} of it locked"


def _markets(exchange: Ledger) -> Iterator[str]:
    for state in exchange._states.values():
        slug, head = state.market.slug, state.head
        up, down = (int(state.held[:, token].sum()) for token in (at.UP, at.DOWN))
        if not up == down == int(head[at.COLLATERAL]):
            yield f"{slug}: {up} e6 Up, {down} Down, collateral {head[at.COLLATERAL]}"
        if head[at.BEST_BID] >= head[at.BEST_ASK]:
            yield f"{slug}: bid {head[at.BEST_BID]} e4 crosses ask {head[at.BEST_ASK]}"
        yield from _shares(exchange, state)
        yield from _locks(exchange, state)
        yield from _levels(state)


def _shares(exchange: Ledger, state: MarketState) -> Iterator[str]:
    for number, name in enumerate(exchange.accounts):
        if exchange._accounts[number, at.UNLIMITED]:
            continue
        for token in (at.UP, at.DOWN):
            total = int(state.held[number, token])
            locked = int(state.held[number, at.HELD_LOCKED + token])
            resting = _open(state, number, _seller(token))
            delayed = sum(
                e.order.size_e6
                for e in state.delayed.values()
                if e.account == number and e.kind == _seller(token)
            )
            if locked != resting + delayed or not 0 <= locked <= total:
                yield (
                    f"{name} in {state.market.slug}: {total} e6 of token {token}, {locked} locked, "
                    f"orders lock {resting + delayed}"
                )


def _locks(exchange: Ledger, state: MarketState) -> Iterator[str]:
    """A limited account's BUY locks what it would cost whole, and nothing else does."""
    for row in np.flatnonzero(state.orders[:, at.SEQ] > 0):
        _, _, kind, price, size, account, locked, seq = state.orders[row].tolist()
        due = 0
        if kind >> 1 == kind & 1 and not exchange._accounts[account, at.UNLIMITED]:
            own = price if kind & 1 == at.UP else at.ONE - price
            due = -(-own * size // at.ONE)
        if locked != due:
            yield f"{state.market.slug}: order {seq} locks {locked} e6 instead of {due}"


def _levels(state: MarketState) -> Iterator[str]:
    slug = state.market.slug
    seen = 0
    for side in (at.BID, at.ASK):
        alive = np.flatnonzero(state.levels[side, :, at.COUNT])
        best = int(state.head[at.BEST_BID if side == at.BID else at.BEST_ASK])
        edge = (alive.max() if side == at.BID else alive.min()) if len(alive) else -1
        if (len(alive) or 0 < best < at.ONE) and edge != best:
            yield f"{slug}: best of side {side} is {best} e4, its levels say {edge}"
        for price in alive:
            rows = list(_chain(state, side, int(price)))
            seen += len(rows)
            size = int(state.levels[side, price, at.SIZE])
            if size != int(state.orders[rows, at.OPEN].sum()) or size <= 0:
                yield f"{slug}: level {price} e4 says {size} e6, its orders do not"
            if list(state.orders[rows, at.SEQ]) != sorted(state.orders[rows, at.SEQ]):
                yield f"{slug}: orders at {price} e4 are out of time order"
    if seen != state.live:
        yield f"{slug}: {state.live} orders counted, {seen} rest"


def _chain(state: MarketState, side: int, price: int) -> Iterator[int]:
    row = int(state.levels[side, price, at.FIRST])
    while row:
        yield row
        row = int(state.orders[row, at.NEXT])


def _seller(token: int) -> int:
    """Kind of a SELL of a token: Up is sold on the ask side, Down on the bid side."""
    return 2 * at.ASK + at.UP if token == at.UP else 2 * at.BID + at.DOWN


def _mine(state: MarketState, number: int) -> at.Array:
    orders = state.orders
    rows = np.flatnonzero((orders[:, at.SEQ] > 0) & (orders[:, at.ACCOUNT] == number))
    return np.take(orders, rows, axis=0)


def _locked_cash(state: MarketState, number: int) -> int:
    return int(_mine(state, number)[:, at.LOCKED].sum())


def _delayed_cash(state: MarketState, number: int) -> int:
    return sum(
        entry.held_e6
        for entry in state.delayed.values()
        if entry.account == number and (entry.kind >> 1) == (entry.kind & 1)
    )


def _open(state: MarketState, number: int, kind: int) -> int:
    rows = _mine(state, number)
    return int(rows[rows[:, at.KIND] == kind][:, at.OPEN].sum())
