"""What an agent owns, in exact integers, derived from its fills and nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from models.errors import BadValue
from models.journal import WindowResult
from models.markets import Market, Outcome, Side
from models.orders import Fill, TradeStatus
from models.units import notional_e6

FillKey = tuple[str, str]
"""(trade_id, order_id)."""


class FillChange(StrEnum):
    """What a fill that was reported did to the books."""

    NEW = "new"
    """First time seen: it counts from now on."""
    ADVANCED = "advanced"
    """Known; its settlement came further."""
    REVERSED = "reversed"
    """Known; its trade failed, so it no longer counts."""
    FAILED = "failed"
    """First seen when it had failed already: kept, but it never counted."""
    NONE = "none"
    """Known already, or older news than what we have."""


@dataclass(frozen=True, slots=True)
class Position:
    """One token's holding; sizes in e6 shares, cash in e6 pUSD.

    ``confirmed_e6 + pending_e6`` is the holding; a sale that is not confirmed is pending and
    negative. ``cost_e6`` is what the shares still held were bought for (average cost, without
    fees); ``realised_e6`` is what selling brought beyond cost, less every fee paid so far.
    """

    token_id: str
    confirmed_e6: int = 0
    pending_e6: int = 0
    cost_e6: int = 0
    realised_e6: int = 0
    fees_e6: int = 0

    @property
    def shares_e6(self) -> int:
        return self.confirmed_e6 + self.pending_e6

    def value_e6(self, mark_e4: int) -> int:
        """Worth of the holding at a mark, in e6."""
        return notional_e6(mark_e4, self.shares_e6)

    def unrealised_e6(self, mark_e4: int) -> int:
        """Worth at a mark less cost, in e6."""
        return self.value_e6(mark_e4) - self.cost_e6


@dataclass(frozen=True, slots=True)
class MarketFlows:
    """Cash that moved in one market, all in e6 and never negative."""

    bought_e6: int = 0
    sold_e6: int = 0
    fees_e6: int = 0
    fills: int = 0
    first_ns: int = 0

    @property
    def net_e6(self) -> int:
        return self.sold_e6 - self.bought_e6 - self.fees_e6


@dataclass(slots=True)
class _MarketBook:
    """Fills of one market; what is derived from them is kept until the next change."""

    fills: dict[FillKey, Fill] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    flows: MarketFlows | None = None

    def put(self, fill: Fill) -> None:
        self.fills[fill.trade_id, fill.order_id] = fill
        self.positions.pop(fill.token_id, None)
        self.flows = None

    def ordered(self) -> list[Fill]:
        return sorted(self.fills.values(), key=lambda f: (f.matched_ns, f.trade_id, f.order_id))


class Portfolio:
    """Money and shares of one agent.

    Parameters
    ----------
    agent
        Its name.
    capital_e6
        What it was given, in e6 of cash.
    settled_e6
        Net result of every market settled before, in e6.
    """

    def __init__(self, agent: str, capital_e6: int, settled_e6: int = 0) -> None:
        self.agent = agent
        self.capital_e6 = capital_e6
        self.settled_e6 = settled_e6
        self._books: dict[str, _MarketBook] = {}
        self._token_market: dict[str, str] = {}
        self._results: dict[str, WindowResult] = {}
        self._settled: set[FillKey] = set()
        self._unbooked: dict[str, int] = {}

    def load(self, fills: Iterable[Fill], settled_e6: int) -> None:
        """Start from the journal's fills and settled cash, forgetting what was known."""
        self._books.clear()
        self._token_market.clear()
        self._results.clear()
        self._settled.clear()
        self._unbooked.clear()
        self.settled_e6 = settled_e6
        for fill in fills:
            self.apply(fill)

    # --- fills --------------------------------------------------------------------------------

    def apply(self, fill: Fill) -> FillChange:
        """Upsert a fill by (trade_id, order_id). Anything not further in its life is ignored.

        So is news of a fill that was settled with its market.
        """
        if (fill.trade_id, fill.order_id) in self._settled:
            return FillChange.NONE
        book = self._books.setdefault(fill.condition_id, _MarketBook())
        known = book.fills.get((fill.trade_id, fill.order_id))
        if known is not None and fill.status.rank <= known.status.rank:
            return FillChange.NONE
        book.put(fill)
        self._token_market[fill.token_id] = fill.condition_id
        failed = fill.status is TradeStatus.FAILED
        if known is None:
            return FillChange.FAILED if failed else FillChange.NEW
        return FillChange.REVERSED if failed else FillChange.ADVANCED

    def fills(self, condition_id: str | None = None) -> tuple[Fill, ...]:
        """Fills of unsettled markets, oldest first (failed ones included)."""
        if condition_id is not None:
            book = self._books.get(condition_id)
            return tuple(book.ordered()) if book else ()
        every = (fill for book in self._books.values() for fill in book.fills.values())
        return tuple(sorted(every, key=lambda f: (f.matched_ns, f.trade_id, f.order_id)))

    def markets(self) -> tuple[str, ...]:
        """Condition ids with fills that are not settled."""
        return tuple(self._books)

    # --- shares -------------------------------------------------------------------------------

    def position(self, token_id: str) -> Position:
        """Holding of a token; an empty one for a token never traded."""
        condition_id = self._token_market.get(token_id)
        if condition_id is None:
            return Position(token_id)
        book = self._books[condition_id]
        position = book.positions.get(token_id)
        if position is None:
            fills = [fill for fill in book.ordered() if fill.token_id == token_id]
            position = book.positions[token_id] = position_of(token_id, fills)
        return position

    def shares_e6(self, token_id: str) -> int:
        """Shares held, confirmed and pending."""
        return self.position(token_id).shares_e6

    def sellable_e6(self, token_id: str, reserved_e6: int = 0) -> int:
        """Shares free to sell: bought and mined, less every sale and what orders reserve.

        The venue refuses to sell shares whose purchase is matched but not on the chain yet.
        """
        condition_id = self._token_market.get(token_id)
        if condition_id is None:
            return 0
        held = -reserved_e6
        for fill in self._books[condition_id].fills.values():
            if fill.token_id == token_id and (fill.side is Side.SELL or fill.status in _ON_CHAIN):
                held += fill.share_change_e6
        return max(0, held)

    # --- cash ---------------------------------------------------------------------------------

    def flows(self, condition_id: str) -> MarketFlows:
        """Cash that moved in an unsettled market."""
        book = self._books.get(condition_id)
        if book is None:
            return MarketFlows()
        if book.flows is None:
            book.flows = flows_of(book.fills.values())
        return book.flows

    @property
    def cash_e6(self) -> int:
        """Capital, settled results and the flows of open markets; nothing reserved."""
        open_e6 = sum(self.flows(condition_id).net_e6 for condition_id in self._books)
        return self.capital_e6 + self.settled_e6 + open_e6

    def cost_e6(self, market: Market) -> int:
        """What the shares held in a market cost, in e6."""
        return self.position(market.up_token).cost_e6 + self.position(market.down_token).cost_e6

    def open_cost_e6(self) -> int:
        """What all shares held cost, in e6; a settled market's too until it is `booked`."""
        held = sum(self.position(token_id).cost_e6 for token_id in self._token_market)
        return held + sum(self._unbooked.values())

    def equity_e6(self, marks_e4: Mapping[str, int]) -> int:
        """Cash plus holdings at the marks given (by token), in e6; unmarked ones at cost."""
        worth = 0
        for token_id in self._token_market:
            position = self.position(token_id)
            mark = marks_e4.get(token_id)
            worth += position.cost_e6 if mark is None else position.value_e6(mark)
        return self.cash_e6 + worth

    # --- settlement ---------------------------------------------------------------------------

    def window_result(self, market: Market, winner: Outcome | None, closed_ns: int) -> WindowResult:
        """Result of a market given its winner: payout is 1 pUSD per winning share.

        Without a winner nothing is paid out. A window without fills opens at the market's start.
        """
        flows = self.flows(market.condition_id)
        held = self.shares_e6(market.token(winner)) if winner is not None else 0
        return WindowResult(
            agent=self.agent,
            condition_id=market.condition_id,
            slug=market.slug,
            winner=winner.value if winner is not None else "",
            bought_e6=flows.bought_e6,
            sold_e6=flows.sold_e6,
            fees_e6=flows.fees_e6,
            payout_e6=max(0, held),
            fills=flows.fills,
            opened_ns=flows.first_ns or market.start_ns,
            closed_ns=closed_ns,
        )

    def settle(self, result: WindowResult) -> None:
        """Turn a market's flows and payout into settled cash; the same result again is ignored.

        Raises
        ------
        BadValue
            The market's fills changed since the result was computed: compute it again.
        """
        if self._results.get(result.condition_id) == result:
            return
        flows = self.flows(result.condition_id)
        told = (result.bought_e6, result.sold_e6, result.fees_e6, result.fills)
        if told != (flows.bought_e6, flows.sold_e6, flows.fees_e6, flows.fills):
            raise BadValue(
                f"market {result.condition_id}: its result counts {result.fills} fills, "
                f"the books {flows.fills}; compute it again from the books"
            )
        self._results[result.condition_id] = result
        tokens = [t for t, market in self._token_market.items() if market == result.condition_id]
        cost = sum(self.position(token_id).cost_e6 for token_id in tokens)
        book = self._books.pop(result.condition_id, _MarketBook())
        self._settled.update(book.fills)
        for token_id in tokens:
            del self._token_market[token_id]
        if cost:
            self._unbooked[result.condition_id] = cost
        self.settled_e6 += result.pnl_e6

    def booked(self, condition_id: str) -> None:
        """The journal has a market's result: after a crash nobody would find it open."""
        self._unbooked.pop(condition_id, None)


_ON_CHAIN = frozenset({TradeStatus.MINED, TradeStatus.CONFIRMED})


def flows_of(fills: Iterable[Fill]) -> MarketFlows:
    """Add up the cash of fills; failed ones count for nothing."""
    bought = sold = fees = count = first_ns = 0
    for fill in fills:
        if fill.status is TradeStatus.FAILED:
            continue
        if fill.side is Side.BUY:
            bought += fill.cash_e6
        else:
            sold += fill.cash_e6
        fees += fill.fee_e6
        count += 1
        first_ns = min(first_ns or fill.matched_ns, fill.matched_ns)
    return MarketFlows(bought, sold, fees, count, first_ns)


def position_of(token_id: str, fills: Iterable[Fill]) -> Position:
    """Position that one token's fills, oldest first, add up to.

    A sale takes its share of the cost, rounded down to the base unit; the last sale takes the
    rest, so that cost in and cost out are equal to the last unit. Selling more than is held
    (fills that came out of order) has no cost.
    """
    confirmed = pending = cost = proceeds = cost_out = fees = 0
    for fill in fills:
        if fill.status is TradeStatus.FAILED:
            continue
        held = confirmed + pending
        if fill.side is Side.BUY:
            cost += fill.cash_e6
        else:
            out = cost if fill.size_e6 >= held else cost * fill.size_e6 // held
            cost -= out
            cost_out += out
            proceeds += fill.cash_e6
        fees += fill.fee_e6
        if fill.status is TradeStatus.CONFIRMED:
            confirmed += fill.share_change_e6
        else:
            pending += fill.share_change_e6
    return Position(token_id, confirmed, pending, cost, proceeds - cost_out - fees, fees)
