"""Fees, rebates, deposits, corrections, settlement and snapshots."""

from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matching_kit import (
    BUY,
    DOWN,
    NOW,
    SELL,
    UP,
    ends,
    make_exchange,
    make_market,
    make_order,
    trades,
)

from engine.matching import HOUSE, Exchange
from engine.matching.audit import imbalances
from engine.matching.kernels.layout import MAX_SIZE
from engine.matching.kernels.money import taker_fee
from engine.matching.types import CancelReason, FeeRounding, Redeemed, Resolved
from models.errors import BadValue
from models.history import (
    FEE,
    FIRST_FEE,
    NO_FEE,
    fee_schedule,
    settlement_rule,
    taker_delay_ms,
)
from models.markets import FeeSchedule, Settlement, taker_fee_e6
from models.settlement import settlement_price, winner
from models.units import SECOND_NS, SHARE, USD

PRICES = st.integers(1, 9_999)
SIZES = st.one_of(st.integers(1, 10**9), st.integers(1, MAX_SIZE))
MODES = {
    FeeRounding.HALF_UP: ROUND_HALF_UP,
    FeeRounding.HALF_EVEN: ROUND_HALF_EVEN,
    FeeRounding.UP: ROUND_UP,
    FeeRounding.DOWN: ROUND_DOWN,
}
FEES = st.builds(
    FeeSchedule,
    rate_ppm=st.one_of(st.sampled_from((70_000, 250_000)), st.integers(0, 300_000)),
    exponent=st.sampled_from((1, 2)),
    of_notional=st.booleans(),
)


def compiled_fee(price: int, size: int, fee: FeeSchedule, mode: FeeRounding) -> int:
    return taker_fee(price, size, fee.rate_ppm, fee.exponent, int(fee.of_notional), int(mode))


@settings(deadline=None)
@given(price=PRICES, size=SIZES, fee=FEES)
def test_compiled_fee_equals_the_models(price: int, size: int, fee: FeeSchedule) -> None:
    assert compiled_fee(price, size, fee, FeeRounding.HALF_UP) == taker_fee_e6(price, size, fee)


@settings(deadline=None)
@given(
    price=PRICES,
    size=st.one_of(SIZES, st.integers(1, 10**6).map(lambda n: n * 1_000)),
    fee=FEES,
    mode=st.sampled_from(tuple(FeeRounding)),
)
def test_every_rounding_mode_is_exact(
    price: int, size: int, fee: FeeSchedule, mode: FeeRounding
) -> None:
    p = Decimal(price) / 10_000
    exact = Decimal(size).scaleb(-6) * Decimal(fee.rate_ppm).scaleb(-6)
    exact *= (p * (1 - p)) ** fee.exponent * (p if fee.of_notional else 1)
    expected = exact.quantize(Decimal("0.00001"), rounding=MODES[mode])
    assert compiled_fee(price, size, fee, mode) == int(expected * 1_000_000)


# 100 shares; the fee page's table for crypto, and its rounding: 5 decimals, less is free.
@pytest.mark.parametrize(
    ("price", "shares", "fee", "expected"),
    [
        (5_000, 100, FEE, 1_750_000),
        (1_000, 100, FEE, 630_000),
        (9_000, 100, FEE, 630_000),
        (5_000, 100, FIRST_FEE, 781_250),  # 1.5625 % of 50 dollars
        (5_000, 0.000285, FEE, 0),
        (5_000, 0.000286, FEE, 10),
        (5_000, 100, NO_FEE, 0),
    ],
)
def test_fee_examples(price: int, shares: float, fee: FeeSchedule, expected: int) -> None:
    assert compiled_fee(price, round(shares * SHARE), fee, FeeRounding.HALF_UP) == expected


@pytest.mark.parametrize(
    ("mode", "of_15", "of_25"),
    [
        (FeeRounding.HALF_UP, 20, 30),
        (FeeRounding.HALF_EVEN, 20, 20),
        (FeeRounding.UP, 20, 30),
        (FeeRounding.DOWN, 10, 20),
    ],
)
def test_ties_of_the_rounding_modes(mode: FeeRounding, of_15: int, of_25: int) -> None:
    # At 0.50 and 10 %, 0.0006 shares cost exactly 0.000015 and 0.001 shares 0.000025.
    assert compiled_fee(5_000, 600, FeeSchedule(100_000), mode) == of_15
    assert compiled_fee(5_000, 1_000, FeeSchedule(100_000), mode) == of_25


# --- history: the venue's changelog ---------------------------------------------------------------


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


@pytest.mark.parametrize(
    ("timeframe", "when", "expected"),
    [
        ("15m", "2026-01-04T23:59:59", NO_FEE),
        ("15m", "2026-01-05T00:00:00", FIRST_FEE),
        ("15m", "2026-03-29T23:59:59", FIRST_FEE),
        ("15m", "2026-03-30T00:00:00", FEE),
        ("5m", "2026-02-12T00:00:00", FIRST_FEE),
        ("4h", "2026-03-05T12:00:00", NO_FEE),
        ("4h", "2026-03-06T00:00:00", FIRST_FEE),
        ("1h", "2026-11-21T00:00:00", FEE),
    ],
)
def test_fee_history(timeframe: str, when: str, expected: FeeSchedule) -> None:
    assert fee_schedule(timeframe, at(when)) == expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-01-10T00:00:00", 500),
        ("2026-03-01T00:00:00", 0),
        ("2026-06-05T00:00:00", 250),
        ("2026-08-17T10:59:59", 250),
        ("2026-08-17T11:00:00", 50),
        ("2026-09-04T14:00:00", 150),
    ],
)
def test_taker_delay_history(when: str, expected: int) -> None:
    assert taker_delay_ms(at(when)) == expected


def test_settlement_rule_changed_in_august() -> None:
    assert settlement_rule(at("2026-08-06T23:59:59")) is Settlement.BOUNDARY
    assert settlement_rule(at("2026-08-07T00:00:00")) is Settlement.TWAP_60


# --- accounts -------------------------------------------------------------------------------------


def test_deposits_and_withdrawals_keep_the_books() -> None:
    exchange = make_exchange(cash=10 * USD)
    exchange.deposit("ann", 5 * USD)
    exchange.submit(make_order("b", "ann", UP, BUY, 5_000, 20), NOW)
    with pytest.raises(BadValue, match="5000000 are free"):
        exchange.withdraw("ann", 5_000_001)
    exchange.withdraw("ann", 5 * USD)
    assert exchange.balance("ann").free_e6 == 0
    assert exchange.deposited_e6 == 30 * USD
    assert imbalances(exchange) == []


def test_deposited_shares_are_paired_with_the_exchanges_own() -> None:
    exchange = make_exchange()
    exchange.deposit_shares("ann", "m-up", 7 * SHARE)
    assert exchange.shares("ann", "m-up") == (7 * SHARE, 0)
    assert exchange.shares(HOUSE, "m-down") == (7 * SHARE, 0)
    assert exchange.pools("m").collateral_e6 == 7 * USD
    assert imbalances(exchange) == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x.open_account("ann"),
        lambda x: x.open_account("new", -1),
        lambda x: x.deposit("ann", 0),
        lambda x: x.deposit("nobody", 1),
        lambda x: x.withdraw("ann", -1),
        lambda x: x.deposit_shares("ann", "m-up", 0),
        lambda x: x.deposit_shares("ann", "unknown", 1),
        lambda x: x.balance("nobody"),
        lambda x: x.pools("unknown"),
        lambda x: x.add_market(make_market()),
        lambda x: x.add_market(make_market("n", tick_e4=30)),
        lambda x: x.add_market(make_market("n", fee=FeeSchedule(70_000, 3))),
        lambda x: x.add_market(make_market("n", fee=FeeSchedule(400_000, 1))),
        lambda x: x.add_market(make_market("n", fee=FeeSchedule(70_000, 1, 1_000_001))),
        lambda x: x.add_market(make_market("n"), taker_delay_ms=-1),
        lambda x: x.remove_market("m"),
        lambda x: x.set_tick("m", 30),
        lambda x: x.impose("m", "ann", [], [], NOW),
        lambda x: x.impose("m", "lp", [(5_000, 1)], [(5_000, 1)], NOW),
        lambda x: x.impose("m", "lp", [(5_000, 1), (5_000, 2)], [], NOW),
        lambda x: x.impose("m", "lp", [(0, 1)], [], NOW),
        lambda x: x.impose("m", "lp", [], [(5_000, -1)], NOW),
        lambda x: x.take("m", "lp", "unknown", BUY, 5_000, 1, NOW),
        lambda x: x.take("m", "lp", "m-up", BUY, 10_000, 1, NOW),
        lambda x: x.take("m", "ann", "m-up", BUY, 5_000, 1, NOW),
    ],
)
def test_impossible_calls_are_refused_and_change_nothing(wrong: object) -> None:
    exchange = make_exchange()
    before = exchange.snapshot()
    with pytest.raises(BadValue):
        wrong(exchange)  # type: ignore[operator]
    assert exchange.snapshot() == before


def test_adjust_reverts_a_fill_and_cancels_what_is_no_longer_covered() -> None:
    exchange = make_exchange(make_market(fee=FeeSchedule()), shares=10 * SHARE, cash=10 * USD)
    exchange.submit(make_order("m", "bob", UP, SELL, 5_000, 10), NOW)
    (trade,) = trades(exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 10), NOW))
    exchange.submit(make_order("old", "ann", UP, SELL, 6_000, 9), NOW)
    exchange.submit(make_order("new", "ann", UP, SELL, 7_000, 11), NOW)
    exchange.submit(make_order("spent", "bob", DOWN, BUY, 2_000, 70), NOW)
    for leg in (trade.taker, *trade.makers):
        sign = 1 if leg.side is BUY else -1
        exchange.adjust(
            leg.account, leg.token_id, sign * leg.cash_e6 + leg.fee_e6, -sign * leg.size_e6
        )
    gone = {end.order_id: end.reason for end in ends(exchange.advance(NOW))}
    assert gone == {"new": CancelReason.BALANCE, "spent": CancelReason.BALANCE}
    for account in ("ann", "bob"):
        assert exchange.balance(account).cash_e6 == 10 * USD
        assert exchange.shares(account, "m-up")[0] == 10 * SHARE
    assert imbalances(exchange) == []


def test_adjust_after_resolution_moves_the_cash_the_shares_became() -> None:
    exchange = make_exchange(make_market(fee=FeeSchedule()), shares=10 * SHARE, cash=10 * USD)
    exchange.submit(make_order("m", "bob", UP, SELL, 5_000, 10), NOW)
    exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 10), NOW)
    exchange.resolve("m", UP, NOW)
    exchange.adjust("ann", "m-up", 5 * USD, -10 * SHARE)
    exchange.adjust("bob", "m-up", -5 * USD, 10 * SHARE)
    assert exchange.balance("ann").cash_e6 == 20 * USD
    assert exchange.balance("bob").cash_e6 == 20 * USD
    assert imbalances(exchange) == []


# --- resolution -----------------------------------------------------------------------------------


def test_resolution_cancels_everything_and_pays_winners_one() -> None:
    exchange = make_exchange(shares=10 * SHARE, cash=10 * USD, delay_ms=150)
    exchange.submit(make_order("rests", "ann", UP, BUY, 4_000, 10), NOW)
    exchange.submit(make_order("s", "bob", UP, SELL, 5_000, 10), NOW)
    exchange.submit(make_order("waits", "cyd", UP, BUY, 5_000, 10), NOW)
    events = exchange.resolve("m", DOWN, NOW + 1)
    assert {end.order_id: end.reason for end in ends(events)} == {
        "rests": CancelReason.RESOLVED,
        "s": CancelReason.RESOLVED,
        "waits": CancelReason.RESOLVED,
    }
    assert Resolved("m", DOWN) in events
    assert Redeemed("m", "ann", "m-down", 10 * SHARE, 10 * USD) in events
    assert Redeemed("m", "ann", "m-up", 10 * SHARE, 0) in events
    for account in ("ann", "bob", "cyd"):
        assert exchange.balance(account).cash_e6 == 20 * USD
        assert exchange.balance(account).reserved_e6 == 0
        assert exchange.shares(account, "m-down") == (0, 0)
        assert exchange.open_orders(account) == []
    assert exchange.book("m", UP) == ([], [])
    assert exchange.winner("m") is DOWN
    assert imbalances(exchange) == []
    with pytest.raises(BadValue, match="resolved already"):
        exchange.resolve("m", UP, NOW + 2)
    exchange.remove_market("m")
    assert exchange.markets == {}
    assert exchange.order("rests") is None
    assert imbalances(exchange) == []


def test_unlimited_account_pays_for_the_shares_it_owes() -> None:
    exchange = make_exchange(make_market(fee=FeeSchedule()), cash=10 * USD)
    exchange.impose("m", "lp", [], [(4_000, 10 * SHARE)], NOW)
    exchange.submit(make_order("t", "ann", UP, BUY, 4_000, 10), NOW)
    assert exchange.shares("lp", "m-up") == (-10 * SHARE, 0)
    exchange.resolve("m", UP, NOW)
    assert exchange.balance("ann").cash_e6 == 16 * USD
    assert exchange.balance("lp").cash_e6 == -6 * USD
    assert imbalances(exchange) == []


@pytest.mark.parametrize(("opening", "closing", "expected"), [(5, 6, UP), (5, 5, UP), (5, 4, DOWN)])
def test_tie_is_up(opening: int, closing: int, expected: object) -> None:
    assert winner(opening, closing) is expected


def test_boundary_rule_takes_the_last_price_at_or_before_the_boundary() -> None:
    ticks = [(10 * SECOND_NS, 100), (20 * SECOND_NS, 200), (20 * SECOND_NS + 1, 300)]
    assert settlement_price(ticks, 20 * SECOND_NS, Settlement.BOUNDARY) == 200
    assert settlement_price(ticks, 19 * SECOND_NS, Settlement.BOUNDARY) == 100
    assert settlement_price(ticks, 9 * SECOND_NS, Settlement.BOUNDARY) is None
    assert settlement_price([], 9 * SECOND_NS, Settlement.BOUNDARY) is None


def test_twap_rule_averages_sixty_whole_seconds_that_end_before_the_boundary() -> None:
    # Price n at second n: seconds T-62 to T-3 of T = 100 are 38 to 97, mean 67.5.
    ticks = [(second * SECOND_NS, second) for second in range(200)]
    assert settlement_price(ticks, 100 * SECOND_NS, Settlement.TWAP_60) == 68
    assert settlement_price(ticks, 100 * SECOND_NS, Settlement.TWAP_60, lag_s=0) == 71
    assert settlement_price(ticks, 61 * SECOND_NS, Settlement.TWAP_60) is None
    assert settlement_price(ticks[38:98], 100 * SECOND_NS, Settlement.TWAP_60) == 68


@settings(deadline=None)
@given(
    prices=st.lists(st.integers(1, 10**14), min_size=70, max_size=90),
    gaps=st.sets(st.integers(1, 69)),
)
def test_twap_fills_missing_seconds_with_the_last_price(prices: list[int], gaps: set[int]) -> None:
    ticks = [(s * SECOND_NS + 7, price) for s, price in enumerate(prices) if s not in gaps]
    filled = [max((t, p) for t, p in ticks if t <= s * SECOND_NS)[1] for s in range(8, 68)]
    exact = settlement_price(ticks, 70 * SECOND_NS, Settlement.TWAP_60)
    assert exact == int((Decimal(sum(filled)) / 60).quantize(Decimal(1), ROUND_HALF_UP))


# --- snapshots ------------------------------------------------------------------------------------


def test_snapshot_brings_back_orders_delays_and_places_in_the_queue() -> None:
    exchange = make_exchange(shares=100 * SHARE, delay_ms=150)
    exchange.submit(make_order("first", "bob", UP, SELL, 5_000, 10), NOW)
    exchange.impose("m", "lp", [(4_000, 5 * SHARE)], [(5_000, 8 * SHARE)], NOW)
    exchange.submit(make_order("third", "cyd", UP, SELL, 5_000, 10), NOW)
    exchange.submit(make_order("waits", "ann", UP, BUY, 5_000, 30), NOW)
    copy = Exchange.restore(exchange.snapshot())
    assert copy.snapshot() == exchange.snapshot()
    assert copy.balance("ann") == exchange.balance("ann")
    due = NOW + SECOND_NS
    (trade,) = trades(copy.advance(due))
    assert [leg.size_e6 for leg in trade.makers] == [10 * SHARE, 8 * SHARE, 10 * SHARE]
    assert copy.snapshot() != exchange.snapshot()
    exchange.advance(due)
    assert copy.snapshot() == exchange.snapshot()


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"version": 2}'])
def test_other_bytes_are_no_snapshot(data: bytes) -> None:
    with pytest.raises(BadValue, match="not readable"):
        Exchange.restore(data)


def test_a_snapshot_of_another_version_is_refused() -> None:
    data = make_exchange().snapshot().replace(b'"version":2', b'"version":1')
    with pytest.raises(BadValue, match="has version 1, not 2"):
        Exchange.restore(data)


def test_snapshot_waits_for_events_that_are_not_told() -> None:
    exchange = make_exchange(shares=10 * SHARE)
    exchange.submit(make_order("s", "ann", UP, SELL, 5_000, 10), NOW)
    exchange.adjust("ann", "m-up", 0, -5 * SHARE)
    with pytest.raises(BadValue, match="call advance first"):
        exchange.snapshot()
    assert [end.order_id for end in ends(exchange.advance(NOW))] == ["s"]
    assert Exchange.restore(exchange.snapshot()).order("s").reason == CancelReason.BALANCE
