"""What one account would own under one fill model, to the base unit."""

import msgspec

from models.errors import BadValue
from models.markets import FeeSchedule, Outcome, Side, taker_fee_e6
from models.units import PRICE_ONE, notional_e6


class Holding(msgspec.Struct):
    """An account in one market: shares, and the cash that went in (negative) or came out."""

    up_e6: int = 0
    down_e6: int = 0
    flow_e6: int = 0

    def shares(self, outcome: Outcome) -> int:
        return self.up_e6 if outcome is Outcome.UP else self.down_e6

    def add(self, outcome: Outcome, size_e6: int) -> None:
        if outcome is Outcome.UP:
            self.up_e6 += size_e6
        else:
            self.down_e6 += size_e6


class Account(msgspec.Struct):
    """Cash and shares of one account. `cash_e6` is never negative, nor are shares.

    ``settled_e6`` is the profit or loss of all markets that have settled, in e6 of pUSD.
    """

    granted_e6: int
    cash_e6: int
    holdings: dict[str, Holding] = {}
    settled_e6: int = 0
    fees_e6: int = 0
    fills: int = 0
    filled_e6: int = 0

    def can_trade(
        self, condition_id: str, outcome: Outcome, side: Side, price_e4: int, fee: FeeSchedule
    ) -> int:
        """Most shares (e6) that the cash buys, fee included, or that are there to be sold."""
        if side is Side.SELL:
            held = self.holdings.get(condition_id)
            return held.shares(outcome) if held is not None else 0
        most = self.cash_e6 * PRICE_ONE // price_e4
        charged = taker_fee_e6(price_e4, most, fee)
        return max(0, self.cash_e6 - charged) * PRICE_ONE // price_e4

    def trade(
        self,
        condition_id: str,
        outcome: Outcome,
        side: Side,
        price_e4: int,
        size_e6: int,
        fee_e6: int = 0,
        cash_e6: int | None = None,
    ) -> None:
        """Book a fill; `cash_e6` is its notional where somebody else has worked it out."""
        cash = notional_e6(price_e4, size_e6) if cash_e6 is None else cash_e6
        buys = side is Side.BUY
        flow = -cash - fee_e6 if buys else cash - fee_e6
        holding = self.holdings.setdefault(condition_id, Holding())
        holding.add(outcome, size_e6 if buys else -size_e6)
        holding.flow_e6 += flow
        self.cash_e6 += flow
        self.fees_e6 += fee_e6
        self.fills += 1
        self.filled_e6 += size_e6

    def undo(
        self, condition_id: str, outcome: Outcome, side: Side, size_e6: int, flow_e6: int
    ) -> None:
        """Take a fill back whose settlement failed; `flow_e6` is the cash that returns."""
        holding = self.holdings.setdefault(condition_id, Holding())
        holding.add(outcome, -size_e6 if side is Side.BUY else size_e6)
        holding.flow_e6 += flow_e6
        self.cash_e6 += flow_e6
        self.filled_e6 -= size_e6

    def settle(self, condition_id: str, winner: Outcome) -> int | None:
        """Pay 1 pUSD for each winning share; return the market's profit or loss in e6.

        None when the account was never in that market.
        """
        holding = self.holdings.pop(condition_id, None)
        if holding is None:
            return None
        won = holding.shares(winner)
        self.cash_e6 += won
        result = holding.flow_e6 + won
        self.settled_e6 += result
        return result


def new_account(cash_e6: int) -> Account:
    """Open an account. Raises `BadValue` for negative cash."""
    if cash_e6 < 0:
        raise BadValue(f"cash_e6: an account cannot begin with {cash_e6}; give it 0 or more")
    return Account(cash_e6, cash_e6)
