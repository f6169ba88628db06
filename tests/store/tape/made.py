"""Hypothesis strategies for markets and well-formed tapes."""

from hypothesis import strategies as st

from models.events import (
    BookChange,
    BookSnapshot,
    Channel,
    FeedEvent,
    FeedState,
    FeedStatus,
    MarketResolved,
    SpotTick,
    TickSizeChange,
    TradePrint,
)
from models.history import FEE
from models.markets import Market, Outcome, Side
from models.tape import SPOT_SOURCES
from models.units import SECOND_NS

START_NS = 1_771_633_800 * SECOND_NS


def market(number: int = 0, seconds: int = 900) -> Market:
    start_ns = START_NS + number * seconds * SECOND_NS
    return Market(
        condition_id=f"0xc{number}",
        slug=f"btc-updown-15m-{start_ns // SECOND_NS}",
        question="Bitcoin Up or Down?",
        asset="BTC",
        timeframe="15m",
        up_token=f"{number}1",
        down_token=f"{number}2",
        start_ns=start_ns,
        end_ns=start_ns + seconds * SECOND_NS,
        tick_e4=100,
        min_size_e6=5_000_000,
        fee=FEE,
        strike_e8=None if number % 2 else 67_986_38014100,
    )


MARKETS = (market(0), market(1))
prices = st.integers(1, 9_999)
sizes = st.integers(1, 10**12)
sides = st.sampled_from(list(Side))


@st.composite
def levels(draw: st.DrawFn, *, falling: bool) -> tuple[tuple[int, int], ...]:
    at = draw(st.lists(prices, max_size=5, unique=True))
    return tuple((price, draw(sizes)) for price in sorted(at, reverse=falling))


@st.composite
def feeds(draw: st.DrawFn, most: int = 30) -> list[FeedEvent]:
    """Events as a feed tells them, in the one form that a tape gives back.

    Times rise from event to event so that neighbouring messages do not run together.
    """
    events: list[FeedEvent] = []
    ticks = {each.condition_id: each.tick_e4 for each in MARKETS}
    resolved: set[str] = set()
    recv = START_NS
    ts = START_NS
    for _ in range(draw(st.integers(0, most))):
        ts = draw(st.integers(ts, recv))
        recv += draw(st.integers(1, 10**9))
        of = draw(st.sampled_from(MARKETS))
        key = (ts, recv, of.condition_id, of.up_token)
        kind = draw(st.integers(0, 6))
        if kind == 0:
            bids, asks = draw(levels(falling=True)), draw(levels(falling=False))
            events.append(BookSnapshot(*key, bids, asks))
        elif kind == 1:
            change = st.tuples(sides, prices, st.integers(0, 10**12))
            events.append(BookChange(*key, tuple(draw(st.lists(change, min_size=1, max_size=4)))))
        elif kind == 2:
            events.append(TradePrint(*key, draw(sides), draw(prices), draw(sizes)))
        elif kind == 3:
            source = draw(st.sampled_from(SPOT_SOURCES))
            asset = draw(st.sampled_from(["BTC", "ETH"]))
            events.append(SpotTick(ts, recv, asset, source, draw(st.integers(1, 10**15))))
        elif kind == 4:
            tick = draw(st.sampled_from([1, 10, 100]))
            if tick != ticks[of.condition_id]:
                ticks[of.condition_id] = tick
                events.append(TickSizeChange(*key, tick))
        elif kind == 5 and of.condition_id not in resolved:
            resolved.add(of.condition_id)
            winner = draw(st.sampled_from(list(Outcome)))
            events.append(MarketResolved(ts, recv, of.condition_id, winner))
        elif kind == 6:
            events.append(FeedStatus(ts, recv, Channel.MARKET, FeedState.DOWN))
    return events
