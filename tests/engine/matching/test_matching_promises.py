"""Settings of the exchange at work, ids that are never used again, and replays by another process.

What the other files prove of a single rule, this one proves of rules that meet.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matching_kit import (
    BUY,
    DOWN,
    FAK,
    GTC,
    GTD,
    NOW,
    SELL,
    UP,
    make_exchange,
    make_market,
    make_order,
    trades,
)
from test_matching_flow import Pair, some_operations

from engine.matching.audit import imbalances
from engine.matching.types import CoreEvent, ExchangeConfig, FeeRounding, OrderRefused
from models.markets import FeeSchedule, taker_fee_e6
from models.orders import OrderState, TimeInForce
from models.units import SECOND_NS, SHARE, USD

# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "fee_e6"),
    [
        (FeeRounding.HALF_UP, 30),
        (FeeRounding.HALF_EVEN, 20),
        (FeeRounding.UP, 30),
        (FeeRounding.DOWN, 20),
    ],
)
def test_the_fee_charged_follows_the_rounding_mode(mode: FeeRounding, fee_e6: int) -> None:
    """At 0.50 and 0.1 %, 0.1 shares cost exactly 0.000025."""
    config = ExchangeConfig(mode, min_market_buy_e6=0)
    market = make_market(fee=FeeSchedule(1_000, 1, 200_000))
    exchange = make_exchange(market, config=config, shares=100 * SHARE)
    exchange.submit(make_order("m", "bob", UP, SELL, 5_000, 10), NOW)
    (trade,) = trades(
        exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 0.1, FAK, cash_e6=50_000), NOW)
    )
    assert trade.fee_e6 == exchange.fees_paid("ann") == exchange.pools("m").fees_e6 == fee_e6
    assert exchange.balance("ann").cash_e6 == 1_000 * USD - 50_000 - fee_e6


@pytest.mark.parametrize("tif", [GTC, FAK])
def test_without_a_taker_delay_a_marketable_order_trades_at_once(tif: TimeInForce) -> None:
    exchange = make_exchange(shares=10 * SHARE, delay_ms=0)
    exchange.submit(make_order("m", "bob", UP, SELL, 5_000, 10), NOW)
    events = exchange.submit(make_order("t", "ann", UP, BUY, 5_000, 10, tif), NOW)
    assert events[0].status is OrderState.FILLED
    assert exchange.next_due_ns() is None


# --- rules that meet ------------------------------------------------------------------------------


def test_post_only_refuses_a_match_through_the_other_token() -> None:
    exchange = make_exchange(shares=100 * SHARE)
    exchange.submit(make_order("m", "bob", UP, BUY, 4_000, 10), NOW)
    with pytest.raises(OrderRefused, match="invalid post-only order: order crosses book"):
        exchange.submit(make_order("a", "ann", DOWN, BUY, 6_000, 10, post_only=True), NOW)
    below = make_order("b", "ann", DOWN, BUY, 5_900, 10, post_only=True)
    assert exchange.submit(below, NOW)[0].status is OrderState.LIVE


def test_an_id_is_never_used_again_however_its_order_ended() -> None:
    exchange = make_exchange(shares=100 * SHARE)
    expires = NOW // SECOND_NS + 180
    exchange.submit(make_order("filled", "bob", UP, SELL, 5_000, 10), NOW)
    exchange.submit(make_order("taker", "ann", UP, BUY, 5_000, 10, FAK), NOW)
    exchange.submit(make_order("cancelled", "ann", UP, BUY, 4_000, 10), NOW)
    exchange.cancel("cancelled", NOW)
    exchange.submit(make_order("expired", "ann", UP, BUY, 4_000, 10, GTD, expires_s=expires), NOW)
    exchange.advance(NOW + 200 * SECOND_NS)
    for order_id in ("filled", "taker", "cancelled", "expired"):
        assert exchange.order(order_id).state.terminal
        again = make_order(order_id, "ann", UP, BUY, 4_100, 10)
        with pytest.raises(OrderRefused, match=rf"order {order_id} is invalid\. Duplicated\."):
            exchange.submit(again, NOW + 200 * SECOND_NS)


def test_cash_locked_in_one_market_is_not_spent_in_another() -> None:
    exchange = make_exchange(cash=10 * USD, delay_ms=150)
    exchange.add_market(make_market("n"))
    exchange.submit(make_order("a", "ann", UP, BUY, 5_000, 15), NOW)
    with pytest.raises(OrderRefused, match="not enough balance"):
        exchange.submit(make_order("b", "ann", DOWN, BUY, 5_000, 5.02, market="n"), NOW)
    exchange.submit(make_order("c", "ann", DOWN, BUY, 5_000, 5, market="n"), NOW)
    assert exchange.balance("ann").free_e6 == 0


def test_money_of_a_delayed_order_is_not_spent_twice() -> None:
    exchange = make_exchange(cash=10 * USD, shares=10 * SHARE, delay_ms=150)
    exchange.submit(make_order("ask", "bob", UP, SELL, 6_000, 10), NOW)
    exchange.submit(make_order("bid", "bob", UP, BUY, 4_000, 10), NOW)
    exchange.submit(make_order("buys", "ann", UP, BUY, 6_000, 10), NOW)
    exchange.submit(make_order("sells", "ann", UP, SELL, 4_000, 10), NOW)
    for side, price in ((BUY, 5_000), (SELL, 5_000)):
        with pytest.raises(OrderRefused, match="not enough balance"):
            exchange.submit(make_order(f"more {side}", "ann", UP, side, price, 8), NOW + 1)
    exchange.advance(NOW + SECOND_NS)
    assert [exchange.order(name).state for name in ("buys", "sells")] == [OrderState.FILLED] * 2
    assert imbalances(exchange) == []


@settings(max_examples=40, deadline=None)
@given(
    takes=st.lists(
        st.tuples(st.sampled_from((2_000, 5_000, 7_000)), st.integers(5, 60)), max_size=8
    ),
    days=st.sets(st.integers(0, 8)),
)
def test_rebates_are_a_fifth_of_the_fees_and_nobody_elses_money(
    takes: list[tuple[int, int]], days: set[int]
) -> None:
    """Two makers a price; a day ends after some of the takes."""
    market = make_market(fee=FeeSchedule(70_000, 1, 200_000))
    exchange = make_exchange(market, shares=10_000 * SHARE, cash=10_000 * USD)
    for number, price in enumerate((2_000, 5_000, 7_000)):
        exchange.submit(make_order(f"b{number}", "bob", UP, SELL, price, 200), NOW)
        exchange.submit(make_order(f"c{number}", "cyd", UP, SELL, price, 900), NOW)
    before = {name: exchange.balance(name).cash_e6 for name in ("bob", "cyd")}
    earned = dict.fromkeys(before, 0)
    paid = dict.fromkeys(before, 0)
    fees = 0
    for number, (price, shares) in enumerate(takes):
        events = exchange.submit(make_order(f"t{number}", "ann", UP, BUY, price, shares, GTC), NOW)
        for trade in trades(events):
            assert trade.fee_e6 == taker_fee_e6(trade.price_e4, trade.size_e6, market.fee)
            fees += trade.fee_e6
            for leg in trade.makers:
                earned[leg.account] += leg.cash_e6
        if number in days:
            for rebate in exchange.pay_rebates("m"):
                paid[rebate.account] += rebate.cash_e6
            assert exchange.pools("m").rebate_e6 == 0
            assert exchange.pay_rebates("m") == []
    for rebate in exchange.pay_rebates("m"):
        paid[rebate.account] += rebate.cash_e6
    payouts = len(days) + 1
    assert fees // 5 - 3 * payouts <= sum(paid.values()) <= fees // 5
    assert exchange.pools("m").fees_e6 == fees - sum(paid.values())
    for name, cash in before.items():
        assert exchange.balance(name).cash_e6 == cash + earned[name] + paid[name]
    assert imbalances(exchange) == []


# --- replay ---------------------------------------------------------------------------------------

SEEDS = (1, 2, 3)


def digest_of_a_replay() -> str:
    """Hash of every event and of the end of some random flows."""
    found = hashlib.sha256()
    for seed in SEEDS:
        pair = Pair(ExchangeConfig(), FeeSchedule(70_000, 1, 200_000), 150)
        told: list[CoreEvent] = []
        for operation in some_operations(seed, 120):
            pair.now_ns += SECOND_NS
            told += pair.run(operation)[0]
        assert any(trades(told)), "a flow without a trade proves nothing"
        for event in told:
            found.update(type(event).__name__.encode() + msgspec.json.encode(event))
        found.update(pair.core.snapshot())
    return found.hexdigest()


def test_another_process_with_another_hash_seed_replays_the_same_bytes() -> None:
    here = Path(__file__).parent
    seed = "1" if os.environ.get("PYTHONHASHSEED") == "2" else "2"
    code = "import test_matching_promises as t; print(t.digest_of_a_replay())"
    path = os.pathsep.join((str(here), str(here.parents[2])))
    other = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert other.stdout.strip() == digest_of_a_replay(), other.stderr
