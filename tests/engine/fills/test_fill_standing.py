"""The exchange's queue, arranged as a fill model says: who fills first, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.matching.audit import imbalances
from engine.matching.types import CoreOrder, Matched
from models.markets import FeeSchedule, Market, Outcome, Side
from models.units import SHARE, USD
from venue.simulator.core import VenueExchange

MARKET = Market("m", "m", "?", "BTC", "15m", "u", "d", 0, 900, 100, 5 * SHARE, FeeSchedule())
PRICE = 4_000


def exchange_of() -> VenueExchange:
    exchange = VenueExchange()
    exchange.add_market(MARKET)
    exchange.open_account("a", 10_000 * USD)
    exchange.open_account("lp", unlimited=True)
    exchange.open_account("public", unlimited=True)
    return exchange


def show(exchange, shares, ask=None):
    asks = [(ask, 10 * SHARE)] if ask else []
    exchange.impose("m", "lp", [(PRICE, shares * SHARE)] if shares else [], asks, 1)


def bid(exchange, name, shares):
    size = shares * SHARE
    cash = size * PRICE // 10_000
    exchange.submit(CoreOrder(name, "a", "m", "u", Side.BUY, PRICE, cash, size, size), 1)


def sell(exchange, shares):
    """Somebody sells; returns what each of our orders got, in shares."""
    events = exchange.take("m", "public", "u", Side.SELL, PRICE, shares * SHARE, 1)
    legs = [leg for e in events if isinstance(e, Matched) for leg in e.trade.makers]
    return {leg.order_id: leg.size_e6 / SHARE for leg in legs if leg.account == "a"}


@pytest.mark.parametrize(
    ("ahead", "got"), [(0, 10), (95, 5), (60, 10), (None, 0), (10**6, 0)], ids=str
)
def test_an_order_fills_after_what_stands_ahead(ahead, got):
    exchange = exchange_of()
    show(exchange, 40)
    bid(exchange, "mine", 10)
    show(exchange, 100)
    exchange.stand("m", "lp", {"mine": None if ahead is None else ahead * SHARE})
    assert sell(exchange, 100) == ({"mine": got} if got else {})


def test_a_book_that_went_and_came_back_can_stand_ahead_again():
    exchange = exchange_of()
    show(exchange, 40)
    bid(exchange, "mine", 10)
    show(exchange, 0)
    show(exchange, 40)
    exchange.stand("m", "lp", {"mine": 40 * SHARE})
    assert sell(exchange, 40) == {}
    assert sell(exchange, 10) == {"mine": 10}


def test_orders_that_do_not_rest_are_passed_over():
    exchange = exchange_of()
    show(exchange, 40)
    exchange.stand("m", "lp", {"nobody": 0})
    assert exchange.book("m", Outcome.UP) == ([(PRICE, 40 * SHARE)], [])


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("show"), st.integers(0, 60)),
        st.tuples(st.just("bid"), st.integers(5, 20)),
        st.tuples(st.just("sell"), st.integers(1, 40)),
        st.tuples(st.just("cancel"), st.integers(0, 5)),
        st.tuples(
            st.just("stand"),
            st.dictionaries(
                st.integers(0, 5), st.one_of(st.none(), st.integers(0, 70)), max_size=4
            ),
        ),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(MOVES)
def test_arranging_moves_nothing_but_places(moves):
    """Sizes, cash and the sequence of our own orders stay; the wished place is taken."""
    exchange = exchange_of()
    left: dict[str, int] = {}
    for kind, value in moves:
        if kind == "show":
            show(exchange, value)
        elif kind == "bid":
            name = f"o{len(left)}"
            bid(exchange, name, value)
            left[name] = value
        elif kind == "sell":
            got = sell(exchange, value)
            for name, size in got.items():
                left[name] -= size
            assert not any(left[n] for n in list(left)[: _last(left, got)]), "oldest first"
        elif kind == "cancel":
            name = f"o{value}"
            if left.get(name):
                exchange.cancel(name, 1)
                left[name] = 0
        else:
            before = exchange.book("m", Outcome.UP)
            wanted = {f"o{i}": None if n is None else n * SHARE for i, n in value.items()}
            exchange.stand("m", "lp", wanted)
            assert exchange.book("m", Outcome.UP) == before
            snapshot = exchange.snapshot()
            exchange.stand("m", "lp", wanted)
            assert exchange.snapshot() == snapshot, "arranged already"
        assert imbalances(exchange) == []
        assert exchange.balance("a").cash_e6 >= 0


def _last(left, got):
    """Index of the newest order that got something."""
    names = list(left)
    return max((names.index(name) for name in got), default=0)
