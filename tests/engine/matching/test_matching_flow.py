"""Random order flow: the core equals a naive exchange, and its books always add up."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from matching_kit import NOW, make_exchange, make_market
from matching_oracle import Naive, Refused

from engine.matching import Exchange
from engine.matching.audit import imbalances
from engine.matching.types import (
    Cancelled,
    CancelRefused,
    CoreEvent,
    CoreOrder,
    ExchangeConfig,
    LevelChanged,
    Matched,
    OrderRefused,
    Placed,
    Redeemed,
    SelfTrade,
)
from models.markets import FeeSchedule, Outcome, Side
from models.orders import OrderState, TimeInForce
from models.units import MILLISECOND_NS, SECOND_NS, notional_e6

ACCOUNTS = ("ann", "bob", "cyd")
FEES = (
    FeeSchedule(70_000, 1, 200_000),
    FeeSchedule(250_000, 2, 200_000, of_notional=True),
    FeeSchedule(),
)
RULES = st.builds(
    ExchangeConfig,
    self_trade=st.sampled_from(tuple(SelfTrade)),
    check_amounts=st.booleans(),
)
EDGES = (100, 200, 300, 400, 9_600, 9_700, 9_800, 9_900)
ODD_PRICES = (4_990, 5_010, 9_710, 9_995, 0, 10_000, 333)
ODD_SIZES = (1, 10_000, 4_990_000, 5_000_000, 5_000_001, 7_777_777, 12_345_600)


def some_operations(seed: int, count: int, tick: int = 100) -> list[tuple[Any, ...]]:
    """Random operations, most of them sensible, around a price that may lie at an edge."""
    rng = random.Random(seed)
    middle = rng.choice((50, 50, 50, 4, 96))
    return [_operation(rng, middle, number, tick) for number in range(count)]


def _operation(rng: random.Random, middle: int, number: int, tick: int) -> tuple[Any, ...]:
    what = rng.random()
    if what < 0.10:
        return "cancel", max(0, number - rng.randrange(12))
    if what < 0.20:
        bids = {min(98, max(1, middle - rng.randrange(1, 5))): _size(rng) for _ in range(3)}
        asks = {max(bids) + rng.randrange(1, 99 - max(bids) + 1): _size(rng) for _ in range(3)}
        return "impose", bids, asks
    if what < 0.28:
        return "wait", rng.choice((1, 60, 151, 1_000, 130_007))
    price = max(1, min(99, middle + rng.randrange(-4, 5))) * 100
    outcome = rng.choice(tuple(Outcome))
    if outcome is Outcome.DOWN:
        price = 10_000 - price
    if tick != 100:
        price = (price + rng.randrange(-5, 6) * tick) // tick * tick
    if rng.random() < 0.05:
        price = rng.choice(EDGES + ODD_PRICES)
    tif = rng.choice((*TimeInForce, TimeInForce.GTC, TimeInForce.GTC))
    return (
        "place", rng.choice(ACCOUNTS), outcome, rng.choice(tuple(Side)), price, _size(rng), tif,
        rng.random() < 0.1,
    )  # fmt: skip


def _size(rng: random.Random) -> int:
    if rng.random() < 0.1:
        return rng.choice(ODD_SIZES)
    return rng.randrange(500, 1_500) * 10_000


class Pair:
    """The core and the oracle side by side, given the same operations."""

    def __init__(
        self, config: ExchangeConfig, fee: FeeSchedule, delay_ms: int, tick: int = 100
    ) -> None:
        self.market = make_market(fee=fee, tick_e4=tick)
        self.core = make_exchange(
            self.market, config=config, delay_ms=delay_ms, cash=40_000_000, shares=20_000_000
        )
        self.naive = Naive(self.market, config, delay_ms * MILLISECOND_NS)
        for account in (*ACCOUNTS, "lp"):
            self.naive.cash[account] = self.core.balance(account).cash_e6
            for outcome in Outcome:
                size = self.core.shares(account, self.market.token(outcome))[0]
                self.naive.shares[account, outcome] = size
        self.now_ns = NOW
        self.placed = 0
        self.ladder: dict[tuple[Side, int], int] = {}
        self.events: list[CoreEvent] = []

    def do(self, operation: tuple[Any, ...]) -> None:
        self.now_ns += 1
        before = len(self.naive.log)
        theirs = self.expect(operation)
        events, ours = self.run(operation)
        assert ours == theirs, operation
        self.follow(events)
        _same(events, self.naive.log[before:])
        self.compare()

    def order(self, operation: tuple[Any, ...]) -> CoreOrder:
        _, account, outcome, side, price, size, tif, post_only = operation
        cash = notional_e6(price, size)
        if tif.immediate and side is Side.BUY:
            cash = cash // 10_000 * 10_000
        expires = self.now_ns // SECOND_NS + 200 if tif is TimeInForce.GTD else 0
        return CoreOrder(
            order_id=f"o{self.placed}",
            account=account,
            condition_id=self.market.condition_id,
            token_id=self.market.token(outcome),
            side=side,
            price_e4=price,
            maker_amount_e6=max(cash, 1) if side is Side.BUY else size,
            taker_amount_e6=size if side is Side.BUY else max(cash, 1),
            size_e6=size,
            tif=tif,
            post_only=post_only and not tif.immediate,
            expires_s=expires,
        )

    def expect(self, operation: tuple[Any, ...]) -> str:
        """Run it on the oracle; return its refusal."""
        if operation[0] == "wait":
            self.now_ns += operation[1] * MILLISECOND_NS
        self.naive.advance(self.now_ns)
        try:
            if operation[0] == "place":
                self.naive.submit(self.order(operation), self.now_ns)
            elif operation[0] == "cancel":
                self.naive.cancel(f"o{operation[1]}")
            elif operation[0] == "impose":
                bids, asks = _cents(operation[1]), _cents(operation[2])
                self.naive.impose("lp", bids, asks)
        except Refused as refused:
            return str(refused)
        return ""

    def run(self, operation: tuple[Any, ...]) -> tuple[list[CoreEvent], str]:
        """Run it on the core; a refusal's pending events are fetched by `advance`."""
        try:
            if operation[0] == "place":
                order = self.order(operation)
                self.placed += 1
                return self.core.submit(order, self.now_ns), ""
            if operation[0] == "cancel":
                return self.core.cancel(f"o{operation[1]}", self.now_ns), ""
            if operation[0] == "impose":
                bids, asks = _cents(operation[1]), _cents(operation[2])
                return self.core.impose(
                    "m", "lp", list(bids.items()), list(asks.items()), self.now_ns
                ), ""
            return self.core.advance(self.now_ns), ""
        except OrderRefused as refused:
            return self.core.advance(self.now_ns), refused.code
        except CancelRefused:
            return self.core.advance(self.now_ns), "gone"

    def follow(self, events: list[CoreEvent]) -> None:
        """Keep a book from `LevelChanged` alone, as a subscriber would."""
        self.events += events
        for event in events:
            if isinstance(event, LevelChanged):
                self.ladder[event.side, event.price_e4] = event.size_e6

    def followed(self, side: Side) -> list[tuple[int, int]]:
        levels = self.ladder.items()
        return sorted((price, size) for (of, price), size in levels if of is side and size)

    def compare(self) -> None:
        bids, asks = self.core.book("m", Outcome.UP)
        assert bids == self.naive.levels(True)
        assert asks == self.naive.levels(False)
        assert bids == sorted(
            ((p, s) for (side, p), s in self.ladder.items() if side is Side.BUY and s), reverse=True
        )
        assert asks == sorted(
            (p, s) for (side, p), s in self.ladder.items() if side is Side.SELL and s
        )
        for account in (*ACCOUNTS, "lp"):
            balance = self.core.balance(account)
            assert balance.cash_e6 == self.naive.cash[account]
            if account != "lp":
                assert balance.free_e6 == self.naive.free_cash(account)
            for outcome in Outcome:
                total, locked = self.core.shares(account, self.market.token(outcome))
                assert total == self.naive.shares.get((account, outcome), 0)
                if account != "lp":
                    assert total - locked == self.naive.free_shares(account, outcome)
        assert self.core.tick_e4("m") == self.naive.tick
        assert self.core.pools("m").fees_e6 == self.naive.fees
        assert imbalances(self.core) == []


def _cents(levels: dict[int, int]) -> dict[int, int]:
    return {cents * 100: size for cents, size in levels.items()}


def _same(events: list[CoreEvent], expected: list[tuple]) -> None:
    """Trades in order; cancellations and delays in any order."""
    ours = [_words(event) for event in events]
    trades = [word for word in ours if word and word[0] == "trade"]
    assert trades == [word for word in expected if word[0] == "trade"]
    others = sorted(word for word in ours if word and word[0] != "trade")
    assert others == sorted(word for word in expected if word[0] != "trade")


def _words(event: CoreEvent) -> tuple | None:
    if isinstance(event, Matched):
        trade = event.trade
        legs = tuple((_name(leg.order_id), leg.size_e6, leg.cash_e6) for leg in trade.makers)
        taker = trade.taker
        return (
            "trade", _name(taker.order_id), taker.price_e4, taker.size_e6, taker.cash_e6,
            taker.fee_e6, legs,
        )  # fmt: skip
    if isinstance(event, Cancelled):
        return "cancelled", event.order_id, event.remaining_e6
    if isinstance(event, Placed) and event.status is OrderState.DELAYED:
        return "delayed", event.order.order_id
    return None


def _name(order_id: str) -> str:
    return "lp" if order_id.startswith("lp/") else order_id


@settings(max_examples=250, deadline=None)
@given(
    rules=RULES,
    fee=st.sampled_from(FEES),
    delay_ms=st.sampled_from((0, 0, 150)),
    tick=st.sampled_from((100, 100, 100, 1_000, 50, 25, 10, 1)),
    seed=st.integers(0, 2**32),
    count=st.integers(20, 80),
)
def test_core_equals_the_naive_exchange(
    rules: ExchangeConfig, fee: FeeSchedule, delay_ms: int, tick: int, seed: int, count: int
) -> None:
    pair = Pair(rules, fee, delay_ms, tick)
    for operation in some_operations(seed, count, tick):
        pair.do(operation)


@settings(max_examples=80, deadline=None)
@given(
    rules=RULES,
    fee=st.sampled_from(FEES),
    delay_ms=st.sampled_from((0, 150)),
    seed=st.integers(0, 2**32),
    winner=st.sampled_from(tuple(Outcome)),
    cut=st.integers(0, 80),
)
def test_same_input_gives_the_same_bytes_also_over_a_restart(
    rules: ExchangeConfig,
    fee: FeeSchedule,
    delay_ms: int,
    seed: int,
    winner: Outcome,
    cut: int,
) -> None:
    operations = some_operations(seed, 80)

    def play(restart: bool) -> tuple[list[CoreEvent], bytes]:
        pair = Pair(rules, fee, delay_ms)
        for number, operation in enumerate(operations):
            if restart and number == cut:
                pair.core = Exchange.restore(pair.core.snapshot())
            pair.now_ns += 1 + (operation[1] if operation[0] == "wait" else 0) * MILLISECOND_NS
            pair.follow(pair.run(operation)[0])
        pair.follow(pair.core.resolve("m", winner, pair.now_ns + 1))
        assert imbalances(pair.core) == []
        return pair.events, pair.core.snapshot()

    events, image = play(restart=False)
    assert play(restart=False) == (events, image)
    assert play(restart=True) == (events, image)
    paid = sum(event.cash_e6 for event in events if isinstance(event, Redeemed))
    assert paid == sum(
        event.size_e6 for event in events
        if isinstance(event, Redeemed) and event.token_id.endswith(winner.value.lower())
    )  # fmt: skip
    numbers = [event.trade.number for event in events if isinstance(event, Matched)]
    assert numbers == list(range(1, len(numbers) + 1))
