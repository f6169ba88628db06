"""A stream of orders in one call, for replays where nobody listens to single events.

The loops are those of `Exchange.submit` and `cancel`; only the way back is shorter: a row of
numbers for each command instead of events. Orders placed this way are nameless, there is no
taker delay and no GTD.
"""

from typing import Final

import numpy as np

from engine.matching.exchange import Exchange
from engine.matching.kernels import batch as kernel
from engine.matching.kernels import layout as at
from engine.matching.kernels.layout import Array
from engine.matching.market import TIFS
from models.errors import BadValue
from models.markets import Side
from models.orders import TimeInForce

RESULT, FILLED, CASH, FEE = (
    kernel.RESULT, kernel.FILLED_SIZE, kernel.PAID, kernel.FEE,
)  # fmt: skip
"""Columns of the results: `at.RESTS`, `FILLED`, `DROPPED` or a refusal; e6 of the rest."""
GONE: Final = kernel.GONE
"""Result of a cancel whose order no longer rests."""
_ROOM = 65_536


class Commands:
    """Collects orders and cancels for `run`; each gets the index of its result."""

    def __init__(self, exchange: Exchange, condition_id: str) -> None:
        self._exchange = exchange
        self._state = exchange._state(condition_id)
        self._rows: list[tuple[int, ...]] = []

    def place(
        self,
        account: str,
        token_id: str,
        side: Side,
        price_e4: int,
        size_e6: int,
        cash_e6: int,
        tif: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
    ) -> int:
        """Add an order; `cash_e6` is its signed amount of cash. Raises `BadValue` for GTD."""
        kinds = self._state.kinds.get(token_id)
        if kinds is None:
            raise BadValue(f"token {token_id!r} is not one of {self._state.market.slug}")
        if tif is TimeInForce.GTD:
            raise BadValue("a batch has no clock; GTD orders need Exchange.submit")
        self._rows.append(
            (
                kernel.PLACE_OP,
                self._exchange._account(account),
                kinds[0] if side is Side.BUY else kinds[1],
                price_e4,
                size_e6,
                cash_e6,
                TIFS[tif],
                at.POST_ONLY if post_only else 0,
            )
        )
        return len(self._rows) - 1

    def cancel(self, index: int) -> int:
        """Cancel what an earlier command placed."""
        if not 0 <= index < len(self._rows):
            raise BadValue(f"command {index} is not one of the {len(self._rows)} before")
        self._rows.append((kernel.CANCEL_OP, 0, 0, index, 0, 0, 0, 0))
        return len(self._rows) - 1

    def array(self) -> Array:
        """Rows for `run`; they fit this market and these accounts only."""
        return np.array(self._rows, np.int64).reshape(-1, kernel.COMMAND_FIELDS)


def run(exchange: Exchange, condition_id: str, commands: Array) -> Array:
    """Run commands in order and return a row of results for each.

    Raises
    ------
    BadValue
        The market is resolved or has resting orders with names (their owners would not hear of
        their fills), or a command does not fit.
    """
    state = exchange._state(condition_id)
    if state.winner is not None or state.entries or state.delayed:
        raise BadValue(
            f"market {state.market.slug} is resolved or has named orders; batches need neither"
        )
    _check(commands, len(exchange.accounts))
    results = np.zeros((len(commands), kernel.RESULT_FIELDS), np.int64)
    done = 0
    while True:
        exchange._make_room(state, _ROOM)
        done = state.call(kernel.run, exchange._accounts, exchange._out, commands, results, done)
        if done == len(commands):
            state.spare = 0
            return results


def _check(commands: Array, accounts: int) -> None:
    """Refuse what would reach outside the arrays."""
    if commands.ndim != 2 or commands.shape[1] != kernel.COMMAND_FIELDS:
        raise BadValue(f"commands have shape {commands.shape}, not (n, {kernel.COMMAND_FIELDS})")
    cancels = commands[:, kernel.OP] == kernel.CANCEL_OP
    placed = commands[~cancels]
    refers = commands[cancels, kernel.LIMIT]
    fits = (
        (commands[:, kernel.OP] >> 1 == 0).all()
        and (placed[:, kernel.BY] >= 0).all()
        and (placed[:, kernel.BY] < accounts).all()
        and (placed[:, kernel.ORDER_KIND] >> 2 == 0).all()
        and np.isin(placed[:, kernel.TIF], (at.GTC, at.FOK, at.FAK)).all()
        and (placed[:, kernel.FLAGS] & ~at.POST_ONLY == 0).all()
        and (refers >= 0).all()
        and (refers < np.flatnonzero(cancels)).all()
    )
    if not fits:
        raise BadValue("a command has an operation, account, kind, time in force, flag or "
                       "reference that does not exist; build them with Commands")  # fmt: skip
