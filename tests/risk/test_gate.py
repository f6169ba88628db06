"""Every policy stops what passes it, names itself with its figures, and lets the rest through."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.markets import FeeSchedule, Market, Outcome, Side
from models.orders import OrderRequest, TimeInForce
from models.units import SECOND_NS, SHARE, USD
from risk.gate import COLUMNS, Facts, Gate, names_of
from risk.limits import Limits, cost_e6
from risk.policies import PolicyFile, load

FEE = FeeSchedule(rate_ppm=70_000)
MARKET = Market(
    "0xc", "btc-updown-15m-0", "?", "BTC", "15m", "up", "down", 0, 900 * 10**9, 100, 5 * SHARE, FEE
)
LIMITS = Limits(
    capital_e6=500 * USD,
    risk_per_trade_e6=20 * USD,
    max_position_e6=100 * USD,
    max_daily_loss_e6=200 * USD,
    max_concurrent_trades=3,
)
CAPITAL = 1000 * USD
ALL = """
policies:
  - {type: TradeLimit, max_usd: 15}
  - {type: AgentLimit, max_usd: 80}
  - {type: FloorLimit, max_usd: 400}
  - {type: DailyLoss, per: floor, max_usd: 100}
  - {type: DailyLoss, per: agent, max_usd: 50}
  - {type: PositionLimit, per: market, max_shares: 150}
  - {type: PositionLimit, per: floor, max_shares: 1000}
  - {type: InventoryLimit, max_usd: 60}
  - {type: ConcurrentTrades, max_markets: 2}
  - {type: OrderRate, per_second: 5, per_minute: 100}
  - {type: PriceCollar, max_distance: 0.1}
  - {type: ExpiryCutoff, min_seconds: 5}
  - {type: VarLimit, max_usd: 150}
  - {type: GreeksLimit, delta: 10, vega: 100}
"""


def file(text: str = ALL) -> PolicyFile:
    return load(text, "risk.yaml", CAPITAL)


GATE = Gate(file(), LIMITS, CAPITAL)
FREE = Facts(free_cash_e6=500 * USD, sellable_e6=100 * SHARE, mid_e4=5000)


def order(**changes: Any) -> OrderRequest:
    base = OrderRequest(
        "i", "a", "0xc", "up", Outcome.UP, Side.BUY, 5000, 20 * SHARE, TimeInForce.GTC, True
    )
    return replace(base, **changes)


def test_an_order_within_every_policy_is_allowed_with_its_cost() -> None:
    decision = GATE.check(order(), MARKET, FREE)
    assert decision.allowed
    assert (decision.violated_policies, decision.cost_e6) == ((), 10 * USD)


@pytest.mark.parametrize(
    ("changes", "facts", "name", "text"),
    [
        ({"size_e6": 31 * SHARE}, {}, "risk_per_trade", "costs $15.50, limit $15.00"),
        ({}, {"market_open_e6": 91 * USD}, "max_position", "$101.00, limit $100.00"),
        ({}, {"agent_open_e6": 71 * USD}, "AgentLimit", "$81.00, limit $80.00"),
        ({}, {"floor_open_e6": 391 * USD}, "FloorLimit", "$401.00, limit $400.00"),
        ({}, {"agent_day_pnl_e6": -50 * USD}, "max_daily_loss", "$50.00, limit $50.00"),
        ({}, {"floor_day_pnl_e6": -100 * USD}, "DailyLoss", "$100.00, limit $100.00"),
        ({}, {"other_markets": 2}, "max_concurrent_trades", "in 2 other markets, limit 2"),
        ({}, {"free_cash_e6": 9 * USD}, "capital", "$10.00, limit $9.00"),
        ({}, {"market_shares_e6": 131 * SHARE, "other_shares_e6": 131 * SHARE}, "PositionLimit",
         "151.00 shares in the market"),
        ({}, {"floor_shares_e6": 990 * SHARE}, "PositionLimit", "1010.00 on the floor"),
        ({}, {"market_shares_e6": 101 * SHARE}, "InventoryLimit", "$60.50, limit $60.00"),
        ({}, {"sent_second": 5}, "OrderRate", "5 orders in a second"),
        ({}, {"sent_minute": 100}, "OrderRate", "100 in a minute, limits 5 and 100"),
        ({}, {"mid_e4": 3900}, "PriceCollar", "price 0.5 against a mid of 0.39, limit 0.1 away"),
        ({}, {"left_ns": 5 * SECOND_NS - 1}, "ExpiryCutoff", "5.0 s of the window are left"),
        ({}, {"var_e6": 141 * USD}, "VarLimit", "$151.00, limit $150.00"),
        ({}, {"greeks": (9.0, 0, 0), "up_greeks": (0.1, 0, 0)}, "GreeksLimit", "delta of 11, lim"),
        ({}, {"greeks": (0, 0, 99.0), "up_greeks": (0, 0, 0.1)}, "GreeksLimit", "vega of 101"),
        ({}, {"killed": "by hand"}, "KillSwitch", "by hand"),
        ({"side": Side.SELL, "size_e6": 101 * SHARE}, {}, "shares", "100.00 are free to sell"),
        ({"side": Side.SELL}, {"mid_e4": 6100}, "PriceCollar", "mid of 0.61"),
        ({"side": Side.SELL}, {"killed": "drill"}, "KillSwitch", "drill"),
        ({"side": Side.SELL}, {"sent_second": 9}, "OrderRate", "9 orders"),
    ],
)  # fmt: skip
def test_each_policy_stops_what_passes_it_and_says_so(
    changes: dict[str, Any], facts: dict[str, Any], name: str, text: str
) -> None:
    decision = GATE.check(order(**changes), MARKET, replace(FREE, **facts))
    assert not decision.allowed
    assert decision.violated_policies == (name,)
    assert text in decision.text


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"size_e6": 30 * SHARE}, {}),
        ({}, {"market_open_e6": 90 * USD}),
        ({}, {"agent_open_e6": 70 * USD, "floor_open_e6": 390 * USD}),
        ({}, {"agent_day_pnl_e6": -50 * USD + 1, "floor_day_pnl_e6": -100 * USD + 1}),
        ({}, {"other_markets": 1, "free_cash_e6": 10 * USD}),
        ({}, {"market_shares_e6": 130 * SHARE, "other_shares_e6": 130 * SHARE}),
        ({}, {"market_shares_e6": 100 * SHARE, "floor_shares_e6": 980 * SHARE}),
        ({}, {"sent_second": 4, "sent_minute": 99, "mid_e4": 4000, "left_ns": 5 * SECOND_NS}),
        ({}, {"mid_e4": 0, "var_e6": 140 * USD}),
        ({}, {"mid_e4": 9000}),
        ({}, {"greeks": (8.0, 0, 0), "up_greeks": (0.1, 0, 0)}),
        ({"outcome": Outcome.DOWN}, {"greeks": (50.0, 0, 0), "up_greeks": (0.1, 0, 0)}),
        ({"side": Side.SELL}, {"mid_e4": 6000, "floor_day_pnl_e6": -900 * USD, "left_ns": 0}),
        ({"side": Side.SELL}, {"mid_e4": 1000, "greeks": (-99.0, 0, 0), "var_e6": 999 * USD}),
    ],
)
def test_exactly_at_a_limit_is_within_it(changes: dict[str, Any], facts: dict[str, Any]) -> None:
    assert GATE.check(order(**changes), MARKET, replace(FREE, **facts)).allowed


def test_all_that_is_violated_is_named() -> None:
    facts = Facts(0, 0, sent_second=9, other_markets=7, killed="by hand", left_ns=0)
    decision = GATE.check(order(size_e6=900 * SHARE), MARKET, facts)
    assert decision.violated_policies == (
        "KillSwitch", "OrderRate", "risk_per_trade", "max_position", "max_concurrent_trades",
        "capital", "AgentLimit", "FloorLimit", "PositionLimit", "InventoryLimit",
        "ExpiryCutoff", "VarLimit",
    )  # fmt: skip
    assert len(decision.reasons) == 12


def test_the_switch_in_the_file_stops_everything() -> None:
    gate = Gate(file("policies:\n- {type: KillSwitch, thrown: true}"), LIMITS, CAPITAL)
    for side in Side:
        decision = gate.check(order(side=side), MARKET, FREE)
        assert decision.violated_policies == ("KillSwitch",)
        assert "thrown in the policy file" in decision.text


amounts = st.integers(-200 * USD, 500 * USD)
facts_of = st.builds(
    Facts,
    free_cash_e6=amounts,
    sellable_e6=st.integers(0, 200 * SHARE),
    market_open_e6=st.integers(0, 150 * USD),
    agent_open_e6=st.integers(0, 150 * USD),
    floor_open_e6=st.integers(0, 500 * USD),
    market_shares_e6=st.integers(0, 200 * SHARE),
    other_shares_e6=st.integers(0, 200 * SHARE),
    floor_shares_e6=st.integers(0, 1100 * SHARE),
    agent_day_pnl_e6=amounts,
    floor_day_pnl_e6=amounts,
    other_markets=st.integers(0, 4),
    sent_second=st.integers(0, 7),
    sent_minute=st.integers(0, 120),
    mid_e4=st.integers(0, 9999),
    left_ns=st.integers(0, 900 * SECOND_NS),
    var_e6=st.integers(0, 200 * USD),
    killed=st.sampled_from(["", "", "", "by hand"]),
)
orders_of = st.builds(
    order,
    side=st.sampled_from(Side),
    price_e4=st.integers(1, 99).map(lambda cents: cents * 100),
    size_e6=st.integers(1, 10_000).map(lambda lots: lots * 10_000),
    post_only=st.booleans(),
)


def row_of(request: OrderRequest, facts: Facts) -> list[int]:
    own = [
        int(request.side is Side.BUY), cost_e6(request, MARKET), request.size_e6, request.price_e4,
    ]  # fmt: skip
    return own + [getattr(facts, name) for name in COLUMNS[4:]]


@pytest.mark.parametrize("text", [ALL, "policies: []"])
@given(cases=st.lists(st.tuples(orders_of, facts_of), min_size=1, max_size=20))
def test_one_by_one_and_all_at_once_decide_the_same(
    text: str, cases: list[tuple[OrderRequest, Facts]]
) -> None:
    gate = Gate(file(text), LIMITS, CAPITAL)
    cases = [(request, replace(facts, killed=cases[0][1].killed)) for request, facts in cases]
    rows = np.array([row_of(*case) for case in cases], np.int64)
    together = gate.check_many(rows, killed=bool(cases[0][1].killed))
    for (request, facts), bits in zip(cases, together, strict=True):
        decision = gate.check(request, MARKET, facts)
        assert decision.allowed == (bits == 0)
        assert decision.violated_policies == names_of(int(bits))


def test_the_columns_are_facts() -> None:
    assert set(COLUMNS[4:]) < {field.name for field in fields(Facts)}
