"""What happens to a trade after the match: mined and confirmed, or failed and undone."""

from typing import TYPE_CHECKING

from models.markets import Side
from models.orders import TradeStatus
from venue.simulator.bank import CASH, PROVIDER
from venue.simulator.records import Leg, TradeRecord

if TYPE_CHECKING:
    from venue.simulator.world import World

MS = 1_000_000


class Settlements:
    """Moves trades through their states on the configured schedule."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def matched(self, trade: TradeRecord, now_ns: int) -> None:
        """Plan the rest of a fresh trade's life."""
        trade.doomed = self._world.faults.take("ghost-fill", now_ns) is not None
        self.plan(trade)

    def plan(self, trade: TradeRecord) -> None:
        """Plan what is still ahead of a trade; what is overdue happens at once."""
        mined, confirmed = (trade.matched_ns + ms * MS for ms in self._world.config.settle_ms)
        first, second = TradeStatus.MINED, TradeStatus.CONFIRMED
        if trade.doomed:
            first, second = TradeStatus.RETRYING, TradeStatus.FAILED
        elif self._world.fault_on("reordered-events"):
            mined, confirmed = confirmed, mined
        schedule = self._world.schedule
        if trade.status is TradeStatus.MATCHED:
            schedule.at(mined, lambda due: self._move(trade, first, due))
        schedule.at(confirmed, lambda due: self._move(trade, second, due))

    def _move(self, trade: TradeRecord, status: TradeStatus, now_ns: int) -> None:
        world = self._world
        if trade.status.rank < status.rank:
            if status is TradeStatus.FAILED:
                for leg in (trade.taker, *trade.makers):
                    self._undo(leg)
                world.fills.undone(trade)
            trade.status = status
            trade.updated_ns = now_ns
            world.journal.trade(trade)
            world.clerk.tell_trade(trade, now_ns)
        else:
            late = TradeRecord(**{name: getattr(trade, name) for name in trade.__struct_fields__})
            late.status = status
            world.clerk.tell_trade(late, now_ns)

    def _undo(self, leg: Leg) -> None:
        """Give back what a leg exchanged; the strangers' side of it goes to the provider."""
        world = self._world
        account = leg.wallet if leg.owner else PROVIDER
        sign = 1 if leg.side is Side.BUY else -1
        world.exchange.adjust(
            account, leg.token_id, cash_e6=sign * leg.cash_e6 + leg.fee_e6,
            shares_e6=-sign * leg.size_e6,
        )  # fmt: skip
        world.bank.touch(account, CASH)
        world.bank.touch(account, leg.token_id)
