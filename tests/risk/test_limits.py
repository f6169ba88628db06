"""Every limit of an agent's own stops what passes it, names itself, and lets reductions through."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.agents import AgentRisk, AgentSpec, MarketSelector
from models.errors import ConfigError
from models.markets import FeeSchedule, Market, Outcome, Side, taker_fee_e6
from models.orders import OrderRequest, TimeInForce
from models.settings import Settings
from models.units import SHARE, USD
from risk.gate import Facts, Gate
from risk.limits import Limits, cost_e6
from risk.policies import PolicyFile
from risk.sizing import fit_buy_e6, minimum_e6, size_for_budget_e6, worst_cost_e6

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
GATE = Gate(PolicyFile(policies=()), LIMITS, 1000 * USD)
"""A floor without policies of its own."""
FREE = Facts(free_cash_e6=500 * USD, sellable_e6=0)


def order(**changes) -> OrderRequest:
    base = OrderRequest(
        "i", "a", "0xc", "up", Outcome.UP, Side.BUY, 5000, 20 * SHARE, TimeInForce.GTC, True
    )
    return replace(base, **changes)


def test_an_order_within_every_limit_is_allowed_with_its_cost():
    decision = GATE.check(order(), MARKET, FREE)
    assert decision.allowed
    assert decision.violated_policies == ()
    assert decision.cost_e6 == 10 * USD


@pytest.mark.parametrize(
    ("request_", "facts", "names", "text"),
    [
        (order(size_e6=41 * SHARE), FREE, ("risk_per_trade",), "$20.50, limit $20.00"),
        (order(), replace(FREE, market_open_e6=91 * USD), ("max_position",), "$101.00, limit $100"),
        (
            order(),
            replace(FREE, agent_day_pnl_e6=-200 * USD),
            ("max_daily_loss",),
            "$200.00, limit $200",
        ),
        (order(), replace(FREE, other_markets=3), ("max_concurrent_trades",), "in 3 other markets"),
        (order(), replace(FREE, free_cash_e6=9 * USD), ("capital",), "$10.00, limit $9.00"),
        (
            order(size_e6=60 * SHARE),
            Facts(
                5 * USD, 0, market_open_e6=90 * USD, agent_day_pnl_e6=-300 * USD, other_markets=4
            ),
            (
                "risk_per_trade",
                "max_position",
                "max_daily_loss",
                "max_concurrent_trades",
                "capital",
            ),
            "risk_per_trade",
        ),
    ],
)
def test_each_violation_is_named_with_value_and_limit(request_, facts, names, text):
    decision = GATE.check(request_, MARKET, facts)
    assert not decision.allowed
    assert decision.violated_policies == names
    assert len(decision.reasons) == len(names)
    assert text in decision.text


@pytest.mark.parametrize(
    ("field", "at", "beyond"),
    [
        ("market_open_e6", 90 * USD, 90 * USD + 1),
        ("agent_day_pnl_e6", -200 * USD + 1, -200 * USD),
        ("other_markets", 2, 3),
        ("free_cash_e6", 10 * USD, 10 * USD - 1),
    ],
)
def test_limits_hold_to_the_base_unit(field, at, beyond):
    assert GATE.check(order(), MARKET, replace(FREE, **{field: at})).allowed
    assert not GATE.check(order(), MARKET, replace(FREE, **{field: beyond})).allowed


def test_selling_what_is_held_is_always_allowed():
    worst = Facts(-(10**9), 20 * SHARE, 10**12, agent_day_pnl_e6=-(10**12), other_markets=99)
    sell = order(side=Side.SELL, post_only=False, tif=TimeInForce.FAK)
    assert GATE.check(sell, MARKET, worst).allowed
    decision = GATE.check(replace(sell, size_e6=20 * SHARE + 10_000), MARKET, worst)
    assert decision.violated_policies == ("shares",)
    assert "20.01" in decision.text
    assert "20.00" in decision.text


standings = st.builds(
    Facts,
    free_cash_e6=st.integers(-(10**7), 10**9),
    sellable_e6=st.just(0),
    market_open_e6=st.integers(0, 2 * 10**8),
    agent_day_pnl_e6=st.integers(-3 * 10**8, 10**8),
    other_markets=st.integers(0, 4),
)
ticks = st.integers(1, 99).map(lambda tick: tick * 100)
tifs = st.sampled_from(list(TimeInForce))


@given(standings, ticks, tifs, st.booleans())
def test_what_fits_the_headroom_passes_the_check_and_one_step_more_does_not(
    facts, price, tif, maker
):
    post_only = maker and not tif.immediate
    room = min(GATE.trade_e6, GATE.room_e6(facts))
    size = size_for_budget_e6(room, price, MARKET, tif, post_only)
    request = order(price_e4=price, size_e6=size, tif=tif, post_only=post_only)
    if size:
        assert GATE.check(request, MARKET, facts).allowed
        more = replace(request, size_e6=size + 10_000)
        assert not GATE.check(more, MARKET, facts).allowed
    least = replace(request, size_e6=max(size + 10_000, minimum_e6(price, MARKET, Side.BUY, tif)))
    assert not GATE.check(least, MARKET, facts).allowed


@given(ticks, st.integers(1, 10**5).map(lambda n: n * 10_000), tifs, st.data())
def test_no_fill_costs_more_than_the_worst_cost(limit, size, tif, data):
    """Any mix of prices at or below the limit, fees included, stays within what was reserved."""
    worst = worst_cost_e6(limit, size, FEE, tif, post_only=False)
    price = data.draw(st.integers(1, limit // 100)) * 100
    if tif.immediate:
        cash = limit * size // 10_000
        bought = cash * 10_000 // price
    else:
        bought, cash = size, -(-price * size // 10_000)
    assert cash + taker_fee_e6(price, bought, FEE) <= worst + 5


@given(st.integers(0, 10**9), ticks, tifs)
def test_a_budget_is_never_overspent_nor_left_lying(budget, price, tif):
    size = size_for_budget_e6(budget, price, MARKET, tif)
    assert size % 10_000 == 0
    if size:
        assert worst_cost_e6(price, size, FEE, tif, False) <= budget
        assert size >= minimum_e6(price, MARKET, Side.BUY, tif)
    bigger = max(size + 10_000, minimum_e6(price, MARKET, Side.BUY, tif))
    assert worst_cost_e6(price, bigger, FEE, tif, False) > budget


@given(st.integers(0, 10**9), st.integers(-(10**6), 10**8), ticks)
def test_fitting_only_ever_shrinks(size, room, price):
    fitted = fit_buy_e6(size, room, price, MARKET, post_only=True)
    assert 0 <= fitted <= size
    assert fitted == 0 or worst_cost_e6(price, fitted, FEE, TimeInForce.GTC, True) <= room


@pytest.mark.parametrize(
    ("price", "side", "tif", "least"),
    [
        (5000, Side.BUY, TimeInForce.GTC, 5_000_000),
        (5000, Side.SELL, TimeInForce.GTC, 5_000_000),
        (5000, Side.BUY, TimeInForce.FAK, 2_000_000),
        (3000, Side.BUY, TimeInForce.FOK, 3_340_000),
        (5000, Side.SELL, TimeInForce.FAK, 10_000),
    ],
)
def test_minimum_by_kind_of_order(price, side, tif, least):
    assert minimum_e6(price, MARKET, side, tif) == least


def test_a_post_only_order_costs_no_fee():
    assert cost_e6(order(), MARKET) == 10 * USD
    assert cost_e6(order(post_only=False), MARKET) == 10 * USD + taker_fee_e6(5000, 20 * SHARE, FEE)


def _spec(**risk) -> AgentSpec:
    return AgentSpec(
        name="anna",
        strategy="momentum",
        markets=(MarketSelector(asset="BTC", timeframe="15m"),),
        risk=AgentRisk(**risk),
        capital_usd=Decimal(300),
    )


def test_limits_come_from_the_agent_where_it_names_them_else_from_the_settings():
    settings = Settings(_env_file=None, max_position_size=Decimal(70), risk_per_trade=Decimal(9))
    limits = Limits.of(settings, _spec(risk_per_trade_usd=Decimal("12.5"), max_concurrent_trades=1))
    assert limits.capital_e6 == 300 * USD
    assert limits.risk_per_trade_e6 == 12_500_000
    assert limits.max_position_e6 == 70 * USD
    assert limits.max_concurrent_trades == 1


def test_limits_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="max_position_e6=0"):
        replace(LIMITS, max_position_e6=0)
    with pytest.raises(ConfigError, match="max_concurrent_trades=0"):
        replace(LIMITS, max_concurrent_trades=0)
