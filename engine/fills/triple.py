"""The same orders under three fill models at once: pessimistic, central, optimistic.

Each model has its own accounts. The orders and cancels are those that one strategy really sent,
reacting to the fills it really had; what it would have done after the fills of another model
nobody knows. The three results are therefore bounds on the fills of these orders, and an honest
spread of the money, but not what three strategies would have made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from engine.fills.account import Account
from engine.fills.depth import Level
from engine.fills.latency import Delay
from engine.fills.orders import Fill, OurOrder, Print
from engine.fills.shadow import Shadow
from models.errors import BadValue
from models.fills import FillModel
from models.markets import Market, Outcome

PESSIMISTIC, CENTRAL, OPTIMISTIC = "pessimistic", "central", "optimistic"


@dataclass(frozen=True, slots=True)
class Result:
    """What an account made under one model; money in e6 of pUSD, fees already paid.

    ``settled_e6`` is the profit or loss of settled markets, ``open_e6`` that of the others with
    shares valued at the best price somebody bids for them. ``fills`` counts partial fills too.
    """

    model: FillModel
    settled_e6: int
    open_e6: int
    cash_e6: int
    fees_e6: int
    fills: int
    filled_e6: int

    @property
    def pnl_e6(self) -> int:
        return self.settled_e6 + self.open_e6


class FillTriple:
    """Runs the three models on one tape.

    Parameters
    ----------
    central
        The model in the middle, `FillModel.LOG` or `FillModel.POWER`.
    order_delay
        Makes a delay of orders and cancels for each model; called once a model, so that a seeded
        one gives every model the same delays. None: they arrive at once.
    grace_ns
        How long a print and the level's fall it explains may lie apart.
    """

    def __init__(
        self,
        central: FillModel = FillModel.LOG,
        order_delay: Callable[[], Delay] | None = None,
        grace_ns: int = 0,
    ) -> None:
        if not central.central:
            raise BadValue(f"central: {central.value!r} is a bound; use 'log' or 'power'")
        models = {PESSIMISTIC: FillModel.BACK, CENTRAL: central, OPTIMISTIC: FillModel.FRONT}
        self.shadows = {
            name: Shadow(model, order_delay() if order_delay else None, grace_ns)
            for name, model in models.items()
        }

    def of(self, model: FillModel) -> Shadow:
        """The shadow of a model. Raises KeyError for a central model that does not run here."""
        for shadow in self.shadows.values():
            if shadow.model is model:
                return shadow
        raise KeyError(model)

    # --- what happens -------------------------------------------------------------------------

    def open_account(self, account: str, cash_e6: int) -> None:
        for shadow in self.shadows.values():
            shadow.open_account(account, cash_e6)

    def knows(self, account: str) -> bool:
        return account in self.shadows[CENTRAL].accounts

    def list_market(self, market: Market, view: int | None = None) -> None:
        for shadow in self.shadows.values():
            shadow.list_market(market, view)

    def place(self, order: OurOrder, now_ns: int) -> dict[str, list[Fill]]:
        return {name: shadow.place(order, now_ns) for name, shadow in self.shadows.items()}

    def cancel(self, condition_id: str, order_id: str, now_ns: int) -> dict[str, list[Fill]]:
        return {
            name: shadow.cancel(condition_id, order_id, now_ns)
            for name, shadow in self.shadows.items()
        }

    def over(self, condition_id: str, order_id: str) -> None:
        """The order really sent has filled whole: see `Shadow.over`."""
        for shadow in self.shadows.values():
            shadow.over(condition_id, order_id)

    def step(
        self,
        condition_id: str,
        prints: Sequence[Print],
        bids: Sequence[Level],
        asks: Sequence[Level],
        now_ns: int,
    ) -> dict[str, list[Fill]]:
        """Take a moment of the tape; the fills it brought, by name."""
        return {
            name: shadow.step(condition_id, prints, bids, asks, now_ns)
            for name, shadow in self.shadows.items()
        }

    def advance(self, now_ns: int) -> dict[str, list[Fill]]:
        """Let the orders and cancels arrive that are due."""
        return {name: shadow.advance(now_ns) for name, shadow in self.shadows.items()}

    def settle(self, condition_id: str, winner: Outcome, now_ns: int) -> dict[str, dict[str, int]]:
        """Pay a market out; each account's profit or loss there by the model's name."""
        return {
            name: shadow.settle(condition_id, winner, now_ns)
            for name, shadow in self.shadows.items()
        }

    # --- what came of it ----------------------------------------------------------------------

    def results(self, account: str) -> dict[str, Result]:
        """An account's three results, pessimistic first. Raises KeyError when it is unknown."""
        results: dict[str, Result] = {}
        for name, shadow in self.shadows.items():
            held = shadow.accounts[account]
            results[name] = Result(
                shadow.model, held.settled_e6, shadow.open_value_e6(account), held.cash_e6,
                held.fees_e6, held.fills, held.filled_e6,
            )  # fmt: skip
        return results

    def export(self) -> bytes:
        """The accounts as bytes; resting orders are not part of it."""
        return msgspec.json.encode({n: s.accounts for n, s in self.shadows.items()})

    def restore(self, saved: bytes) -> None:
        """Take accounts back that `export` wrote. Raises `BadValue` for anything else."""
        try:
            accounts = msgspec.json.decode(saved, type=dict[str, dict[str, Account]])
        except msgspec.DecodeError as error:
            raise BadValue(f"saved fill accounts can't be read: {error}") from error
        for name, shadow in self.shadows.items():
            shadow.accounts = accounts.get(name, {})
