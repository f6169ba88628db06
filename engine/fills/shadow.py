"""One fill model at work: our orders against a recorded or mirrored market, fills and money out.

The market is a tape that does not react to us: books and prints go in as they were, our orders
meet them by price and time. The rules, whatever the model:

* A resting order fills only where somebody came for it: a print at its price that is larger than
  what was ahead of it, a print at a worse price, or displayed size on the other side that reaches
  its price. The market's best price touching ours fills nothing.
* All our orders together never get more of a print than traded, nor more of a level than was
  displayed less what we took of it before (`Depth`).
* No fill costs more than the account's cash, or sells shares it does not have. What cannot be
  paid passes by; the order keeps its place.
* Our resting fills save somebody else's order from trading. The tape shows that order traded, and
  so we leave it: later prints are not made larger for it, nor is anybody put ahead of us again.

Orders of ours never match each other here.
"""

import heapq
from collections.abc import Callable, Sequence

from engine.fills.account import Account, new_account
from engine.fills.depth import Depth, Level
from engine.fills.latency import ConstantDelay, Delay, InOrder
from engine.fills.orders import Fill, OurOrder, Print, Resting, own_price
from engine.fills.queue import QueuePosition
from models.errors import BadValue
from models.fills import FillModel
from models.markets import FeeSchedule, Market, Outcome, Side, taker_fee_e6
from models.orders import Role, TimeInForce
from models.units import PRICE_ONE, notional_e6

FREE = FeeSchedule()


class _Room:
    """One market: what the tape shows, and our resting orders by id."""

    __slots__ = ("depth", "market", "over", "resting")

    def __init__(self, market: Market, depth: Depth) -> None:
        self.market = market
        self.depth = depth
        self.resting: dict[str, Resting] = {}
        self.over: set[str] = set()
        """Ids of orders that really ended; the owner does not know of what still rests here."""


class Shadow:
    """Accounts, markets and orders under one model. Times must not go backwards.

    Parameters
    ----------
    model
        How queue positions advance.
    order_delay
        How long orders and cancels take to the market; an order may still fill while its cancel
        is under way.
    grace_ns
        How long a print and the level's fall it explains may lie apart.
    """

    def __init__(
        self, model: FillModel, order_delay: Delay | None = None, grace_ns: int = 0
    ) -> None:
        self.model = model
        self.accounts: dict[str, Account] = {}
        self._rooms: dict[str, _Room] = {}
        self._delay = InOrder(order_delay or ConstantDelay())
        self._grace_ns = grace_ns
        self._due: list[tuple[int, int, Callable[[int], list[Fill]]]] = []
        self._count = 0

    # --- who and where ------------------------------------------------------------------------

    def open_account(self, account: str, cash_e6: int) -> None:
        """Give an account its first cash. Raises `BadValue` when it is known already."""
        if account in self.accounts:
            raise BadValue(f"account {account!r} is open already")
        self.accounts[account] = new_account(cash_e6)

    def list_market(
        self, market: Market, view: int | None = None, depth: Depth | None = None
    ) -> None:
        """Begin to follow a market.

        Parameters
        ----------
        view
            Levels a side its feed shows at most.
        depth
            Where the book is read from instead of what `step` is told.
        """
        self._rooms.setdefault(market.condition_id, _Room(market, depth or Depth(view)))

    def drop_market(self, condition_id: str) -> None:
        """Stop following a market; its resting orders are gone, its shares stay."""
        self._rooms.pop(condition_id, None)

    # --- our side -----------------------------------------------------------------------------

    def place(self, order: OurOrder, now_ns: int) -> list[Fill]:
        """Send an order; returns what has filled by now, of any order.

        Raises
        ------
        BadValue
            Its account or market is not known here.
        """
        if order.account not in self.accounts or order.condition_id not in self._rooms:
            raise BadValue(
                f"order {order.order_id}: account {order.account!r} or market "
                f"{order.condition_id!r} is not open here; open_account and list_market first"
            )
        return self._send(lambda at_ns: self._arrive(order, at_ns), now_ns)

    def cancel(self, condition_id: str, order_id: str, now_ns: int) -> list[Fill]:
        """Send a cancel; one that comes too late, or for an unknown order, does nothing."""

        def arrive(_: int) -> list[Fill]:
            room = self._rooms.get(condition_id)
            resting = room.resting.pop(order_id, None) if room else None
            if room is not None and resting is not None:
                self._clear_over(room, resting.order)
            return []

        return self._send(arrive, now_ns)

    def over(self, condition_id: str, order_id: str) -> None:
        """The order really sent has filled whole; its owner thinks of it no more.

        What is left of it here stays until the owner next acts on that side of that market.
        """
        room = self._rooms.get(condition_id)
        if room is not None and order_id in room.resting:
            room.over.add(order_id)

    def resting(self, condition_id: str) -> list[Resting]:
        """Our orders that rest in a market, in the order they came."""
        room = self._rooms.get(condition_id)
        return list(room.resting.values()) if room else []

    def ahead(self, condition_id: str) -> dict[str, int | None]:
        """Shares ahead of each resting order, by id; None while nobody can tell."""
        room = self._rooms.get(condition_id)
        return {name: r.position.ahead_e6 for name, r in room.resting.items()} if room else {}

    # --- the tape's side ----------------------------------------------------------------------

    def step(
        self,
        condition_id: str,
        prints: Sequence[Print],
        bids: Sequence[Level],
        asks: Sequence[Level],
        now_ns: int,
    ) -> list[Fill]:
        """Take a moment of the tape: trades first, then the book they left behind.

        Levels are Up's, best first. An empty book means that nothing is known.
        """
        fills = self.advance(now_ns)
        room = self._rooms.get(condition_id)
        if room is None:
            return fills
        if room.resting:
            for trade in prints:
                fills += self._printed(room, trade, now_ns)
        room.depth.show(bids, asks)
        if room.resting:
            for resting in sorted(room.resting.values(), key=lambda r: r.rank):
                order = resting.order
                shown = room.depth.size(order.bid, order.up_price_e4)
                resting.position.level(shown, now_ns)
                fills += self._crossed(room, resting, now_ns)
        return fills

    def advance(self, now_ns: int) -> list[Fill]:
        """Let the orders and cancels arrive that are due by now."""
        fills: list[Fill] = []
        while self._due and self._due[0][0] <= now_ns:
            at_ns, _, arrive = heapq.heappop(self._due)
            fills += arrive(at_ns)
        return fills

    def settle(self, condition_id: str, winner: Outcome, now_ns: int) -> dict[str, int]:
        """Pay a resolved market out; returns each account's profit or loss there, in e6."""
        self.advance(now_ns)
        self._rooms.pop(condition_id, None)
        results: dict[str, int] = {}
        for name, account in self.accounts.items():
            result = account.settle(condition_id, winner)
            if result is not None:
                results[name] = result
        return results

    def open_value_e6(self, account: str) -> int:
        """Profit or loss of an account's unsettled markets at the best prices shown now."""
        return self.worth_e6(self.accounts[account])

    def worth_e6(self, account: Account) -> int:
        """As `open_value_e6`, for any account in these markets."""
        total = 0
        for condition_id, held in account.holdings.items():
            room = self._rooms.get(condition_id)
            worth = room.depth.liquidation_e6(held.up_e6, held.down_e6) if room else 0
            total += held.flow_e6 + worth
        return total

    # --- inside -------------------------------------------------------------------------------

    def _send(self, arrive: Callable[[int], list[Fill]], now_ns: int) -> list[Fill]:
        self._count += 1
        heapq.heappush(self._due, (self._delay.arrival_ns(now_ns), self._count, arrive))
        return self.advance(now_ns)

    def _arrive(self, order: OurOrder, now_ns: int) -> list[Fill]:
        room = self._rooms.get(order.condition_id)
        if room is None:
            return []
        self._clear_over(room, order)
        reach = room.depth.against(order.bid, order.up_price_e4)
        if order.post_only and reach:
            return []
        fills, left = self._take(room, order, reach, now_ns)
        if left > 0 and not order.tif.immediate:
            shown = room.depth.size(order.bid, order.up_price_e4)
            position = QueuePosition(self.model, shown, self._grace_ns)
            room.resting[order.order_id] = Resting(order, left, position, self._count)
        return fills

    def _take(
        self, room: _Room, order: OurOrder, reach: Sequence[Level], now_ns: int
    ) -> tuple[list[Fill], int]:
        """Take what is displayed; returns the fills and what is left of the order's size."""
        parts, whole = _plan(order, reach)
        if order.tif is TimeInForce.FOK and not (whole and self._covered(room, order, parts)):
            return [], 0
        fills: list[Fill] = []
        for up_price, size in parts:
            fill = self._fill(room, order, up_price, size, now_ns, Role.TAKER)
            if fill is not None:
                room.depth.take(not order.bid, up_price, fill.size_e6)
                fills.append(fill)
        return fills, order.size_e6 - sum(fill.size_e6 for fill in fills)

    def _covered(self, room: _Room, order: OurOrder, parts: Sequence[Level]) -> bool:
        account, fee = self.accounts[order.account], room.market.fee
        if order.side is Side.SELL:
            held = account.can_trade(order.condition_id, order.outcome, order.side, 1, fee)
            return held >= sum(size for _, size in parts)
        cost = 0
        for up_price, size in parts:
            price = own_price(order.outcome, up_price)
            cost += notional_e6(price, size) + taker_fee_e6(price, size, fee)
        return cost <= account.cash_e6

    def _printed(self, room: _Room, trade: Print, now_ns: int) -> list[Fill]:
        """Give a print to our orders on the side it took, best price and oldest first."""
        fills: list[Fill] = []
        left = trade.size_e6
        for resting in sorted(room.resting.values(), key=lambda r: r.rank):
            order = resting.order
            price = order.up_price_e4
            if order.bid == trade.buys:
                continue
            if price == trade.price_e4:
                offered = resting.position.traded(trade.size_e6, now_ns)
                offered -= trade.size_e6 - left
            elif (price > trade.price_e4) == order.bid:
                resting.position.swept()
                offered = left
            else:
                break
            fill = self._rest_fills(room, resting, offered, now_ns)
            if fill is not None:
                fills.append(fill)
                left -= fill.size_e6
        return fills

    def _crossed(self, room: _Room, resting: Resting, now_ns: int) -> list[Fill]:
        """Displayed size on the other side that reaches our price would have met our order."""
        order = resting.order
        fills: list[Fill] = []
        for price, there in room.depth.against(order.bid, order.up_price_e4):
            resting.position.swept()
            fill = self._rest_fills(room, resting, there, now_ns)
            if fill is None:
                break
            room.depth.take(not order.bid, price, fill.size_e6)
            fills.append(fill)
        return fills

    def _rest_fills(
        self, room: _Room, resting: Resting, offered_e6: int, now_ns: int
    ) -> Fill | None:
        size = min(offered_e6, resting.left_e6)
        order = resting.order
        fill = self._fill(room, order, order.up_price_e4, size, now_ns, Role.MAKER)
        if fill is not None:
            resting.left_e6 -= fill.size_e6
            if resting.left_e6 == 0:
                del room.resting[order.order_id]
        return fill

    def _fill(
        self, room: _Room, order: OurOrder, up_price: int, size_e6: int, now_ns: int, role: Role
    ) -> Fill | None:
        """Book a fill as far as the account can pay for it; None when it cannot at all."""
        account = self.accounts[order.account]
        schedule = room.market.fee if role is Role.TAKER else FREE
        price = own_price(order.outcome, up_price)
        size = min(
            size_e6,
            account.can_trade(order.condition_id, order.outcome, order.side, price, schedule),
        )
        if size <= 0:
            return None
        fee = taker_fee_e6(price, size, schedule)
        if order.side is Side.SELL:
            fee = min(fee, notional_e6(price, size))
        account.trade(order.condition_id, order.outcome, order.side, price, size, fee)
        return Fill(
            order.order_id, order.account, order.condition_id, order.outcome, order.side, role,
            price, size, fee, now_ns,
        )  # fmt: skip

    @staticmethod
    def _clear_over(room: _Room, acted: OurOrder) -> None:
        """The owner acts on a side: what it thinks ended there ends here too."""
        for name in list(room.over):
            resting = room.resting.get(name)
            ours = resting is None or (
                resting.order.account == acted.account and resting.order.bid == acted.bid
            )
            if ours:
                room.over.discard(name)
                room.resting.pop(name, None)


def _plan(order: OurOrder, reach: Sequence[Level]) -> tuple[list[Level], bool]:
    """What an order would take of what it reaches, and whether that is all it wants."""
    parts: list[Level] = []
    left, budget = order.size_e6, order.budget_e6
    for up_price, there in reach:
        price = own_price(order.outcome, up_price)
        want = budget * PRICE_ONE // price if order.budget_e6 else left
        size = min(want, there)
        if size > 0:
            parts.append((up_price, size))
        if size == want:
            return parts, True
        left -= size
        budget -= notional_e6(price, size)
    return parts, False
