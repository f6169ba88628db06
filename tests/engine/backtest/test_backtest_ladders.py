"""The compiled ladders against a plain dictionary of prices."""

from hypothesis import example, given
from hypothesis import strategies as st

from engine.backtest import ladders
from engine.backtest import layout as on
from engine.backtest.reel import Books
from engine.backtest.views import read_levels
from models.units import PRICE_ONE

SLOT = 1
STEPS = (1, 10, 25, 100)
# Ends of the ladder and of the words of bits in it, and whatever else.
prices = st.one_of(
    st.sampled_from((1, 63, 64, 65, 4095, 4096, 4097, 8191, 8192, PRICE_ONE - 1)),
    st.builds(lambda step, place: step * (place % (PRICE_ONE // step - 1) + 1),
              st.sampled_from(STEPS), st.integers(0, PRICE_ONE)),
)  # fmt: skip
changes = st.lists(st.tuples(st.integers(0, 1), prices, st.sampled_from((0, 0, 1, 7))), max_size=60)


@given(changes, st.integers(0, 60), st.integers(0, 60))
@example([(0, 63, 1), (0, 64, 1), (0, 64, 0), (1, 1, 1), (1, 9_999, 1), (1, 1, 0)], 60, 60)
def test_ladders_hold_what_a_dictionary_holds(
    steps: list[tuple[int, int, int]], emptied: int, depth: int
) -> None:
    books = Books()
    plain: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for number, (side, price, size) in enumerate(steps):
        if number == emptied:
            ladders.clear_book(books.sizes, books.meta, SLOT)
            plain[0].clear()
            plain[1].clear()
        ladders.set_level(books.sizes, books.meta, SLOT, side, price, size)
        plain[side].pop(price, None)
        if size:
            plain[side][price] = size
        bids, asks = sorted(plain[0].items(), reverse=True), sorted(plain[1].items())
        assert read_levels(books, SLOT, on.BID) == bids
        assert read_levels(books, SLOT, on.ASK, depth) == asks[:depth]
        facts = books.meta[SLOT]
        assert facts[on.BEST_BID] == (bids[0][0] if bids else on.NO_BID)
        assert facts[on.BEST_ASK] == (asks[0][0] if asks else on.NO_ASK)
    ladders.clear_book(books.sizes, books.meta, SLOT)
    assert not books.sizes.any()
