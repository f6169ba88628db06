"""A naive exchange for one market: lists, sorting and big integers, written from the rules.

It shares no code with the core but the fee and notional of `models`. Every operation costs what
it costs; that is the point.
"""

from dataclasses import dataclass, field

from engine.matching.types import CoreOrder, ExchangeConfig, SelfTrade
from models.markets import Market, Outcome, Side, taker_fee_e6
from models.orders import TimeInForce
from models.units import SECOND_NS, notional_e6

DECIMALS = {1_000: 3, 100: 4, 50: 5, 25: 6, 10: 5, 1: 6}


class Refused(Exception):
    pass


@dataclass
class Resting:
    order_id: str
    account: str
    outcome: Outcome
    side: Side
    price: int
    """In its own token."""
    open: int
    locked: int
    expires_ns: int = 0

    @property
    def up_price(self) -> int:
        return self.price if self.outcome is Outcome.UP else 10_000 - self.price

    @property
    def bid(self) -> bool:
        return (self.side is Side.BUY) == (self.outcome is Outcome.UP)


@dataclass
class Waiting:
    order: CoreOrder
    due_ns: int
    cash: int
    shares: int


@dataclass
class Naive:
    """One market. `log` collects what happened, in words both sides can produce."""

    market: Market
    config: ExchangeConfig
    delay_ns: int = 0
    cash: dict[str, int] = field(default_factory=dict)
    shares: dict[tuple[str, Outcome], int] = field(default_factory=dict)
    book: list[Resting] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    tick: int = 0
    fees: int = 0
    log: list[tuple] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tick = self.market.tick_e4

    # --- money --------------------------------------------------------------------------------

    def free_cash(self, account: str) -> int:
        resting = sum(o.locked for o in self.book if o.account == account and o.side is Side.BUY)
        waiting = sum(w.cash for w in self.waiting if w.order.account == account)
        return self.cash[account] - resting - waiting

    def free_shares(self, account: str, outcome: Outcome) -> int:
        mine = (o for o in self.book if o.account == account and o.outcome is outcome)
        resting = sum(o.open for o in mine if o.side is Side.SELL)
        token = self.market.token(outcome)
        waiting = sum(
            w.shares
            for w in self.waiting
            if w.order.account == account and w.order.token_id == token
        )
        return self.shares.get((account, outcome), 0) - resting - waiting

    def move(self, account: str, outcome: Outcome, side: Side, size: int, cash: int) -> None:
        sign = 1 if side is Side.BUY else -1
        self.cash[account] -= sign * cash
        key = account, outcome
        self.shares[key] = self.shares.get(key, 0) + sign * size

    # --- orders -------------------------------------------------------------------------------

    def submit(self, order: CoreOrder, now_ns: int) -> None:
        outcome = self.market.outcome(order.token_id)
        self.check(order, now_ns)
        crossing = bool(self.opposite(order))
        buys = order.side is Side.BUY
        if buys and (crossing or order.tif.immediate):
            spend = order.maker_amount_e6
            if not order.tif.immediate:
                spend = notional_e6(order.price_e4, order.size_e6)
            if spend < self.config.min_market_buy_e6:
                raise Refused("min_size")
        if order.post_only and crossing:
            raise Refused("crosses")
        waits = crossing and self.delay_ns > 0
        need = self.check_funds(order, outcome, waits)
        self.known.add(order.order_id)
        if waits:
            self.waiting.append(
                Waiting(
                    order, now_ns + self.delay_ns, need if buys else 0, 0 if buys else order.size_e6
                )
            )
            self.log.append(("delayed", order.order_id))
            return
        self.run(order)
        self.tighten()

    def check(self, order: CoreOrder, now_ns: int) -> None:
        if order.order_id in self.known:
            raise Refused("duplicate")
        gtd = order.tif is TimeInForce.GTD
        if gtd != bool(order.expires_s) or (
            gtd and order.expires_s * SECOND_NS < now_ns + self.config.min_gtd_s * SECOND_NS
        ):
            raise Refused("other")
        immediate = order.tif.immediate
        if order.post_only and immediate:
            raise Refused("other")
        if order.price_e4 % self.tick or not self.tick <= order.price_e4 <= 10_000 - self.tick:
            raise Refused("tick")
        if not immediate and order.size_e6 < self.market.min_size_e6:
            raise Refused("min_size")
        if not self.config.check_amounts:
            return
        cash_places, share_places = DECIMALS[self.tick], 2
        if immediate:
            cash_places, share_places = (2, 4) if order.side is Side.BUY else (4, 2)
        cash = order.maker_amount_e6 if order.side is Side.BUY else order.taker_amount_e6
        if cash % 10 ** (6 - cash_places) or order.size_e6 % 10 ** (6 - share_places):
            raise Refused("other")

    def check_funds(self, order: CoreOrder, outcome: Outcome, waits: bool) -> int:
        fills, done, _ = self.walk(order)
        taken = sum(size for _, size in fills)
        need = 0
        if order.side is Side.BUY:
            cost = fee = 0
            for price in dict.fromkeys(o.up_price for o, _ in fills):
                size = sum(s for o, s in fills if o.up_price == price)
                own = price if outcome is Outcome.UP else 10_000 - price
                cost += notional_e6(own, size)
                fee += taker_fee_e6(own, size, self.market.fee)
            if order.tif.immediate:
                need = order.maker_amount_e6 + fee
            else:
                rest = -(-order.price_e4 * (order.size_e6 - taken) // 10_000)
                whole = -(-order.price_e4 * order.size_e6 // 10_000)
                need = max(whole, cost + rest) + fee
            if need > self.free_cash(order.account):
                raise Refused("balance")
        elif order.size_e6 > self.free_shares(order.account, outcome):
            raise Refused("balance")
        if order.tif.immediate and not self.opposite(order):
            raise Refused("unmatched")
        if order.tif is TimeInForce.FAK and not taken and not waits:
            raise Refused("unmatched")
        if order.tif is TimeInForce.FOK and not done and not waits:
            raise Refused("unmatched")
        return need

    def opposite(self, order: CoreOrder) -> list[Resting]:
        """Orders this one crosses, in the order it would meet them."""
        outcome = self.market.outcome(order.token_id)
        bid = (order.side is Side.BUY) == (outcome is Outcome.UP)
        limit = order.price_e4 if outcome is Outcome.UP else 10_000 - order.price_e4
        found = [
            o
            for o in self.book
            if o.bid != bid and (o.up_price <= limit if bid else o.up_price >= limit)
        ]
        return sorted(found, key=lambda o: o.up_price if bid else -o.up_price)

    def walk(self, order: CoreOrder) -> tuple[list[tuple[Resting, int]], bool, list[Resting]]:
        """Fills (maker, size), whether nothing is left to do, and own orders met on the way."""
        outcome = self.market.outcome(order.token_id)
        by_cash = order.tif.immediate and order.side is Side.BUY
        budget, left = order.maker_amount_e6, order.size_e6
        fills: list[tuple[Resting, int]] = []
        own: list[Resting] = []
        queue = self.opposite(order)
        for up_price in dict.fromkeys(o.up_price for o in queue):
            price = up_price if outcome is Outcome.UP else 10_000 - up_price
            want = budget * 10_000 // price if by_cash else left
            if want <= 0:
                return fills, True, own
            traded = 0
            for maker in [o for o in queue if o.up_price == up_price]:
                if traded == want:
                    break
                if maker.account == order.account and self.config.self_trade:
                    own.append(maker)
                    if self.config.self_trade is SelfTrade.CANCEL_TAKING:
                        return fills, False, own
                    continue
                size = min(maker.open, want - traded)
                fills.append((maker, size))
                traded += size
            if traded == want:
                return fills, True, own
            left -= traded
            budget -= notional_e6(price, traded)
        return fills, False, own

    def run(self, order: CoreOrder) -> None:
        outcome = self.market.outcome(order.token_id)
        fills, done, own = self.walk(order)
        if self.config.self_trade is SelfTrade.CANCEL_RESTING:
            for maker in own:
                self.book.remove(maker)
                self.log.append(("cancelled", maker.order_id, maker.open))
        for up_price in dict.fromkeys(o.up_price for o, _ in fills):
            self.trade(
                order, outcome, up_price, [(o, s) for o, s in fills if o.up_price == up_price]
            )
        taken = sum(size for _, size in fills)
        stopped = bool(own) and self.config.self_trade is SelfTrade.CANCEL_TAKING
        if not done and (order.tif.immediate or stopped):
            self.log.append(("cancelled", order.order_id, max(0, order.size_e6 - taken)))
        elif not done:
            left = order.size_e6 - taken
            buys = order.side is Side.BUY
            death_s = order.expires_s - self.config.gtd_early_s
            self.book.append(
                Resting(
                    order.order_id, order.account, outcome, order.side, order.price_e4, left,
                    -(-order.price_e4 * left // 10_000) if buys else 0,
                    death_s * SECOND_NS if order.expires_s else 0,
                )
            )  # fmt: skip

    def trade(
        self, order: CoreOrder, outcome: Outcome, up_price: int, fills: list[tuple[Resting, int]]
    ) -> None:
        legs = []
        for maker, size in fills:
            cash = notional_e6(maker.price, size)
            maker.open -= size
            if maker.side is Side.BUY and maker.account != "lp":
                left = -(-maker.price * maker.open // 10_000)
                maker.locked = min(maker.locked - cash, left)
            self.move(maker.account, maker.outcome, maker.side, size, cash)
            legs.append((maker.order_id, size, cash))
            if maker.open == 0:
                self.book.remove(maker)
        price = up_price if outcome is Outcome.UP else 10_000 - up_price
        size = sum(size for _, size in fills)
        cash = notional_e6(price, size)
        fee = taker_fee_e6(price, size, self.market.fee)
        if order.side is Side.SELL:
            fee = min(fee, cash)
        self.move(order.account, outcome, order.side, size, cash)
        self.cash[order.account] -= fee
        self.fees += fee
        self.log.append(("trade", order.order_id, price, size, cash, fee, tuple(legs)))

    def cancel(self, order_id: str) -> None:
        for resting in self.book:
            if resting.order_id == order_id:
                self.book.remove(resting)
                self.log.append(("cancelled", order_id, resting.open))
                self.tighten()
                return
        raise Refused("gone")

    def advance(self, now_ns: int) -> None:
        while True:
            due: list[tuple[int, Waiting | Resting]] = [(w.due_ns, w) for w in self.waiting]
            due += [(o.expires_ns, o) for o in self.book if o.expires_ns]
            when_ns, what = min(due, key=lambda item: item[0], default=(now_ns + 1, None))
            if what is None or when_ns > now_ns:
                return
            if isinstance(what, Waiting):
                self.release(what)
            else:
                self.cancel(what.order_id)

    def release(self, waiting: Waiting) -> None:
        self.waiting.remove(waiting)
        order = waiting.order
        try:
            self.check_funds(order, self.market.outcome(order.token_id), False)
        except Refused:
            self.log.append(("cancelled", order.order_id, order.size_e6))
            return
        self.run(order)
        self.tighten()

    def impose(self, account: str, bids: dict[int, int], asks: dict[int, int]) -> None:
        """Orders of the provider are called by their level."""
        for bid, targets in ((True, bids), (False, asks)):
            for price in sorted({o.up_price for o in self.book}):
                mine = [
                    o
                    for o in self.book
                    if o.account == account and o.bid == bid and o.up_price == price
                ]
                excess = sum(o.open for o in mine) - targets.get(price, 0)
                for resting in reversed(mine):
                    cut = min(max(excess, 0), resting.open)
                    resting.open -= cut
                    excess -= cut
                    if resting.open == 0:
                        self.book.remove(resting)
        for side, targets in ((Side.BUY, bids), (Side.SELL, asks)):
            for price, size in targets.items():
                mine = sum(
                    o.open
                    for o in self.book
                    if o.account == account and o.side is side and o.price == price
                )
                if size > mine:
                    cash = notional_e6(price, size - mine)
                    self.run(
                        CoreOrder(
                            "lp", account, self.market.condition_id, self.market.up_token, side,
                            price, cash, cash, size - mine,
                        )
                    )  # fmt: skip
        self.tighten()

    def tighten(self) -> None:
        bids = [o.up_price for o in self.book if o.bid]
        asks = [o.up_price for o in self.book if not o.bid]
        bid, ask = max(bids, default=None), min(asks, default=None)
        if not self.config.tighten or self.tick != self.config.tighten_from_e4:
            return
        if bid is not None and ask is not None:
            beyond = bid + ask > 19_200 or bid + ask < 800
        else:
            beyond = (bid or 0) > 9_600 or (ask or 10_000) < 400
        if beyond:
            self.tick = self.config.tighten_to_e4

    # --- looking ------------------------------------------------------------------------------

    def levels(self, bid: bool) -> list[tuple[int, int]]:
        sizes: dict[int, int] = {}
        for order in self.book:
            if order.bid == bid:
                sizes[order.up_price] = sizes.get(order.up_price, 0) + order.open
        return sorted(sizes.items(), reverse=bid)
