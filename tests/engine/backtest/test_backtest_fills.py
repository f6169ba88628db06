"""The loops stop where it matters: fills are those of a shadow that looks at every row."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from tape_kit import START_NS, TapeWriter, make_market

from engine.backtest import layout as on
from engine.backtest.pit import Pit, _our_order
from engine.backtest.reel import Reel
from engine.backtest.timing import Clock
from engine.backtest.venue import CancelWish, SubmitWish, TapeVenue, _amounts
from engine.book import Ladder
from engine.fills.latency import ConstantDelay
from engine.fills.orders import Print
from engine.fills.shadow import Shadow
from models.errors import VenueRejected
from models.fills import FillModel
from models.markets import Outcome, Side
from models.orders import OrderRequest, SignedOrder, TimeInForce
from models.tape import Row, Tape
from models.units import SHARE, USD

MARKET = make_market()
CASH_E6 = 200 * USD
STEP_S = 0.25


@dataclass(frozen=True)
class Sent:
    """An order or cancel of ours, after the moment of its number."""

    moment: int
    outcome: Outcome
    side: Side
    cents: int
    shares: int
    tif: TimeInForce
    post_only: bool
    cancels: int


levels = st.tuples(st.integers(0, 1), st.integers(48, 52), st.sampled_from([0, 2, 9, 30, 50]))
trades = st.tuples(st.booleans(), st.integers(48, 52), st.integers(1, 40))
whole = st.tuples(
    st.dictionaries(st.integers(45, 49), st.integers(1, 40), max_size=5),
    st.dictionaries(st.integers(50, 54), st.integers(1, 40), max_size=5),
)
row = st.one_of(
    levels.map(lambda x: ("level", x)),
    levels.map(lambda x: ("level", x)),
    trades.map(lambda x: ("trade", x)),
    trades.map(lambda x: ("trade", x)),
    whole.map(lambda x: ("book", x)),
    st.just(("dark", None)),
)
moments = st.lists(st.lists(row, min_size=1, max_size=3), min_size=8, max_size=30)
sendings = st.lists(
    st.builds(
        Sent,
        moment=st.integers(0, 7),
        outcome=st.sampled_from(Outcome),
        side=st.sampled_from(Side),
        cents=st.integers(48, 52),
        shares=st.integers(5, 60),
        tif=st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.FAK, TimeInForce.FOK]),
        post_only=st.booleans(),
        cancels=st.sampled_from([-1, -1, -1, 0, 1, 2]),
    ),
    min_size=1,
    max_size=8,
)


def written(told: list[list[tuple]], depth: int | None) -> tuple[Tape, list[tuple]]:
    """A tape of these moments; and, by moment, the prints and the book after it."""
    writer = TapeWriter(MARKET, depth=depth)
    ladder = Ladder()
    after = []
    for number, rows in enumerate(told):
        at_s = STEP_S * number
        prints = []
        for kind, what in rows:
            if kind == "book" or (depth is not None and kind in ("level", "dark")):
                bids, asks = what if kind == "book" else ({}, {})
                bids = dict(sorted(bids.items(), reverse=True)[:depth])
                asks = dict(sorted(asks.items())[:depth])
                writer.book(at_s, bids, asks)
                ladder.clear()
                for side, some in ((Side.BUY, bids), (Side.SELL, asks)):
                    for cents, shares in some.items():
                        ladder.set(side, cents * 100, shares * SHARE)
            elif kind == "level":
                side, cents, shares = what
                writer.level(at_s, side, cents, shares)
                ladder.set(Side.SELL if side else Side.BUY, cents * 100, shares * SHARE)
            elif kind == "trade":
                buys, cents, shares = what
                writer.trade(at_s, buys, cents, shares)
                prints.append(Print(buys, cents * 100, shares * SHARE))
            else:
                writer.add(at_s, Row.DARK)
                ladder.clear()
        after.append((prints, ladder.bids(None), ladder.asks(None)))
    return writer.tape(), after


class Played:
    """Our orders against the tape, through the loops."""

    def __init__(self, tape: Tape, model: FillModel, grace_ns: int) -> None:
        self.clock = Clock(START_NS)
        self.reel = Reel(
            tape,
            0,
            len(tape),
            ConstantDelay(),
            lambda m: True,
            lambda m, s: self.pit.seated("0xm0"),
            False,
        )
        self.pit = Pit(self.reel, self.clock, model, grace_ns, 10**15, 10**15, False)
        self.venue = TapeVenue("anna", "anna", self.pit.fund("anna", CASH_E6))
        self.pit.join(self.venue, ConstantDelay(), ConstantDelay())
        self.pit.list_market(MARKET, 0)
        self.venue._markets[MARKET.condition_id] = MARKET

    def go_to(self, now_ns: int) -> None:
        while (code := self.reel.run(now_ns, bool(self.pit.resting))) != on.LIMIT:
            if code == on.OURS:
                self.clock.now = self.reel.happened_ns
                self.pit.moment(self.reel.happened_ns)
        self.clock.now = now_ns
        while self.clock.next_ns() <= now_ns and self.clock.ring():
            pass

    def send(self, wish: SubmitWish | CancelWish) -> object:
        self.venue.out.append(wish)
        self.pit.collect(self.venue)
        while self.clock.ring():
            pass
        answers = [one[1] for one in self.venue.inbox if isinstance(one, tuple)]
        self.venue.inbox.clear()
        return answers[-1]

    def fills(self) -> list[tuple]:
        trades = self.venue._trades.get(MARKET.condition_id, {}).values()
        return [
            (t.matched_ns, leg.order_id, leg.role, leg.size_e6, leg.cash_e6, leg.fee_e6)
            for t in trades
            for leg in t.legs
        ]


def signed(number: int, sent: Sent) -> SignedOrder | None:
    request = OrderRequest(
        f"i{number}", "anna", MARKET.condition_id, MARKET.token(sent.outcome), sent.outcome,
        sent.side, sent.cents * 100, sent.shares * SHARE, sent.tif,
        sent.post_only and not sent.tif.immediate,
    )  # fmt: skip
    maker, taker = _amounts(request, MARKET)
    return SignedOrder(f"o{number}", request, maker, taker, {})


@settings(max_examples=150, deadline=None)
@given(
    told=moments,
    sendings=sendings,
    model=st.sampled_from(FillModel),
    grace=st.sampled_from([0, 100_000_000, 600_000_000]),
    depth=st.sampled_from([None, None, 3]),
    far_behind=st.sampled_from([0, 3, 1_000]),
)
def test_fills_are_those_of_a_shadow_that_looks_at_every_row(
    told, sendings, model, grace, depth, far_behind
):
    tape, after = written(told, depth)
    played = Played(tape, model, grace)
    played.reel.far_behind = far_behind
    shadow = Shadow(model, None, grace)
    shadow.open_account("anna", CASH_E6)
    shadow.list_market(MARKET, depth)
    expected: list[tuple] = []

    def note(fills) -> None:
        for fill in fills:
            cash = fill.price_e4 * fill.size_e6 // 10_000
            expected.append((fill.at_ns, fill.order_id, fill.role, fill.size_e6, cash, fill.fee_e6))

    for number, (prints, bids, asks) in enumerate(after):
        now = START_NS + round(STEP_S * number * 1e9)
        played.go_to(now)
        note(shadow.step(MARKET.condition_id, prints, bids, asks, now))
        for place, sent in enumerate(sendings):
            if sent.moment != number:
                continue
            if sent.cancels >= 0:
                played.send(CancelWish((f"o{sent.cancels}",), object()))
                note(shadow.cancel(MARKET.condition_id, f"o{sent.cancels}", now))
            order = signed(place, sent)
            answer = played.send(SubmitWish(order, object()))
            if not (isinstance(answer, VenueRejected) and answer.code == "balance"):
                note(shadow.place(_our_order(order, "anna"), now))
        assert played.fills() == expected
        there = {one.order.order_id: one.left_e6 for one in played.pit.shadow.resting("0xm0")}
        assert there == {one.order.order_id: one.left_e6 for one in shadow.resting("0xm0")}
        account = played.pit.shadow.accounts["anna"]
        assert account.cash_e6 == shadow.accounts["anna"].cash_e6 >= 0
