"""What paper trading promises of the fills it really gives, on any tape and by every model.

`engine.fills` keeps the promises for the models; this is the exchange itself, whose queue the
chosen model arranges, with the books and prints of a market that does not know of us.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fills.depth import Depth
from engine.matching.audit import imbalances
from engine.matching.types import OrderRefused
from models.fills import FillModel
from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import PRICE_ONE, SECOND_NS, SHARE, notional_e6
from venue.simulator.clock import ManualClock
from venue.simulator.config import Liquidity, Series, SimulatorConfig
from venue.simulator.entry import Entry
from venue.simulator.errors import Refusal
from venue.simulator.liquidity import Demand, Step
from venue.simulator.recording import Taker
from venue.simulator.world import World

WALLET = "0x" + "Aa" * 20
CENTS = st.integers(46, 54).map(lambda cents: cents * 100)
SIZE = st.integers(1, 60).map(lambda shares: shares * SHARE)


@st.composite
def books(draw: st.DrawFn) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    bid = draw(st.integers(46, 52))
    ask = bid + draw(st.integers(1, 3))
    bids = tuple(((bid - i) * 100, size) for i, size in enumerate(draw(st.lists(SIZE, max_size=3))))
    asks = tuple(((ask + i) * 100, size) for i, size in enumerate(draw(st.lists(SIZE, max_size=3))))
    return bids, asks


PRINT = st.builds(Taker, st.sampled_from(Outcome), st.sampled_from(Side), CENTS, SIZE)
STEP = st.tuples(st.just("step"), st.lists(PRINT, max_size=3), books())
PLACE = st.tuples(
    st.just("place"), st.sampled_from(Outcome), st.sampled_from(Side), CENTS,
    st.integers(5, 60), st.sampled_from((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.FAK)),
)  # fmt: skip
CANCEL = st.tuples(st.just("cancel"), st.integers(0, 9))
FLOW = st.lists(st.one_of(STEP, STEP, PLACE, PLACE, CANCEL), min_size=3, max_size=25)


class Paper:
    """A paper venue without its network: one window, whose tape the test plays, and a wallet."""

    def __init__(self, model: FillModel, dollars: int) -> None:
        # An ETH window is played by the model source, which stays silent while the clock stands.
        config = SimulatorConfig(
            liquidity=Liquidity.MODEL,
            series=(Series("ETH", "15m"),),
            fill_model=model,
            taker_delay_ms=0,
            capital_e6=dollars * 1_000_000,
        )
        self.world = World(config, ManualClock(1_800_003_900 * SECOND_NS))
        self.world.open()
        self.window = next(w for w in self.world.registry.all() if self.world.accepting(w))
        self.key = self.world.create_key(WALLET, 0)
        self.demand = self.world.life.demands[self.window.condition_id] = Demand(Depth())
        self.placed: list[Entry] = []
        self.shown: tuple[Any, Any] = ((), ())
        self.do(("step", [], ((), ())))

    def do(self, action: tuple[Any, ...]) -> None:
        now = self.world.now()
        if action[0] == "step":
            _, prints, self.shown = action
            self.world.stepped(self.window, self.demand, Step(tuple(prints), *self.shown), now)
        elif action[0] == "place":
            try:
                self.world.desk.place(self.entry(*action[1:]), now)
            except (Refusal, OrderRefused):
                self.placed.pop()
        elif action[1] < len(self.placed):
            self.world.desk.cancel([self.placed[action[1]].order_id], WALLET, now)

    def entry(
        self, outcome: Outcome, side: Side, price: int, shares: int, tif: TimeInForce
    ) -> Entry:
        size = shares * SHARE
        cash = notional_e6(price, size)
        buys = side is Side.BUY
        entry = Entry(
            order_id=f"0x{len(self.placed):064x}", key=self.key, wallet=WALLET,
            condition_id=self.window.condition_id, token_id=self.window.market.token(outcome),
            outcome=outcome, side=side, price_e4=price, size_e6=size,
            maker_amount_e6=cash if buys else size, taker_amount_e6=size if buys else cash,
            tif=tif, post_only=False, expires_s=0,
        )  # fmt: skip
        self.placed.append(entry)
        return entry

    def filled(self) -> dict[str, int]:
        found = {}
        for entry in self.placed:
            status = self.world.exchange.order(entry.order_id)
            found[entry.order_id] = status.filled_e6 if status else 0
        return found

    def bids(self, entry: Entry) -> bool:
        return (entry.side is Side.BUY) == (entry.outcome is Outcome.UP)


@contextmanager
def paper(model: FillModel, dollars: int) -> Iterator[Paper]:
    venue = Paper(model, dollars)
    try:
        yield venue
    finally:
        venue.world.close()


@settings(max_examples=40)
@given(st.sampled_from(FillModel), FLOW, st.integers(5, 60))
def test_nothing_fills_beyond_what_traded_was_displayed_or_is_paid_for(
    model: FillModel, flow: list[tuple[Any, ...]], dollars: int
) -> None:
    with paper(model, dollars) as venue:
        exchange, market = venue.world.exchange, venue.window.market
        for action in flow:
            before = venue.filled()
            venue.do(action)
            after = venue.filled()
            got: dict[bool, int] = defaultdict(int)
            for entry in venue.placed:
                more = after[entry.order_id] - before.get(entry.order_id, 0)
                got[venue.bids(entry)] += more
                assert more >= 0
            traded: dict[bool, int] = defaultdict(int)
            for trade in action[1] if action[0] == "step" else ():
                buys_up = (trade.side is Side.BUY) == (trade.outcome is Outcome.UP)
                traded[buys_up] += trade.size_e6
            for bid in (False, True):
                displayed = sum(there for _, there in venue.shown[1 if bid else 0])
                # Our own two sides may meet each other too: that is no liquidity from nowhere.
                assert got[bid] <= traded[not bid] + displayed + got[not bid]
            balance = exchange.balance(WALLET)
            assert 0 <= balance.reserved_e6 <= balance.cash_e6
            for token in (market.up_token, market.down_token):
                total, locked = exchange.shares(WALLET, token)
                assert 0 <= locked <= total
        assert imbalances(exchange) == []


@settings(max_examples=20)
@given(st.sampled_from(FillModel), st.lists(books(), min_size=1, max_size=6), SIZE)
def test_a_touch_alone_fills_nothing(model: FillModel, shown: list[Any], size_e6: int) -> None:
    """A bid of ours at 0.45 and one of Down's at 0.44: the market comes next to both and leaves."""
    with paper(model, 1_000) as venue:
        venue.do(("step", [], (((4_000, SHARE),), ((6_000, SHARE),))))
        venue.do(("place", Outcome.UP, Side.BUY, 4_500, 50, TimeInForce.GTC))
        venue.do(("place", Outcome.DOWN, Side.BUY, 4_400, 50, TimeInForce.GTC))
        for bids, asks in shown:
            venue.do(("step", [], (bids, asks)))
            # Both sides at our very prices, and a tick away from them on the other side.
            venue.do(("step", [], (((4_500, size_e6),), ((4_600, size_e6),))))
            venue.do(("step", [], (((5_500, size_e6),), ((PRICE_ONE - 4_400, size_e6),))))
        assert len(venue.placed) == 2
        assert set(venue.filled().values()) == {0}
