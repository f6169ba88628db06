import csv
from math import sqrt
from typing import Any

import numpy as np
import pytest
import QuantLib as ql
from hypothesis import assume, given
from hypothesis import strategies as st

from models.errors import BadValue
from models.settings import Settings
from risk.digital import TWAP_S, up_probabilities, up_probabilities_twap
from risk.greeks import Greeks, asset_or_nothing, digital, up_greeks, vanilla

HAUG = Settings().floor_data_dir / "reference_tables" / "quantlib_haug_option_values.csv"
NAMES = ("price", "delta", "gamma", "vega", "theta", "rho")

options = st.fixed_dictionaries(
    {
        "spot": st.floats(20, 200),
        "strike": st.floats(20, 200),
        "years": st.floats(0.01, 3),
        "volatility": st.floats(0.05, 1.0),
        "rate": st.floats(-0.03, 0.15),
        "dividend": st.floats(0, 0.1),
        "call": st.booleans(),
    }
)


def rows(test: str) -> list[dict[str, Any]]:
    with HAUG.open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["test"] == test]


def inputs(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "spot": float(row["spot"]),
        "strike": float(row["strike"]),
        "years": float(row["t_years"]),
        "volatility": float(row["vol"]),
        "rate": float(row["rate_r"]),
        "dividend": float(row["div_yield_q"]),
        "call": row["type"] == "call",
    }


# --- published values ---------------------------------------------------------------------------


def test_published_vanilla_values() -> None:
    table = rows("testValues")
    assert len(table) == 43
    for row in table:
        found = float(vanilla(**inputs(row)).price)
        assert found == pytest.approx(float(row["expected"]), abs=max(float(row["tol"]), 1.01e-4))


def test_published_greeks() -> None:
    table = rows("testGreekValues")
    assert len(table) == 11
    for row in table:
        found = vanilla(**inputs(row))
        put = -1.0 if row["type"] == "put" else 1.0
        spot, years = float(row["spot"]), float(row["t_years"])
        value = {
            "delta": found.delta,
            "gamma": found.gamma,
            "vega": found.vega,
            "theta": found.theta,
            "theta per day": found.theta / 365,
            "rho": found.rho,
            "elasticity": found.delta * spot / found.price,
            # The derivative by the yield: -T S exp(-qT) N(+-d1), which is -T S delta.
            "dividendRho": -years * spot * found.delta,
        }[row["quantity"]]
        assert np.sign(found.delta) == put
        printed = len(row["expected"].partition(".")[2])
        assert float(value) == pytest.approx(float(row["expected"]), abs=0.51 * 10.0**-printed)


def test_published_digital_values() -> None:
    (cash,) = rows("testCashOrNothingEuropeanValues")
    assert 10 * float(digital(**inputs(cash)).price) == pytest.approx(2.6710, abs=1e-4)
    (asset,) = rows("testAssetOrNothingEuropeanValues")
    assert float(asset_or_nothing(**inputs(asset))) == pytest.approx(20.2069, abs=1e-4)


# --- QuantLib -----------------------------------------------------------------------------------


def quantlib(kind: str, option: dict[str, Any]) -> dict[str, float]:
    """The same option by QuantLib's analytic engine, on a day count that makes `years` exact."""
    today = ql.Date(1, 1, 2026)
    ql.Settings.instance().evaluationDate = today
    days = max(1, round(option["years"] * 360))
    option["years"] = days / 360
    count = ql.Actual360()

    def flat(rate: float) -> Any:
        return ql.YieldTermStructureHandle(ql.FlatForward(today, rate, count))

    volatility = ql.BlackConstantVol(today, ql.NullCalendar(), option["volatility"], count)
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(option["spot"])),
        flat(option["dividend"]),
        flat(option["rate"]),
        ql.BlackVolTermStructureHandle(volatility),
    )
    side = ql.Option.Call if option["call"] else ql.Option.Put
    payoff = (
        ql.PlainVanillaPayoff(side, option["strike"])
        if kind == "vanilla"
        else ql.CashOrNothingPayoff(side, option["strike"], 1.0)
    )
    built = ql.VanillaOption(payoff, ql.EuropeanExercise(today + days))
    built.setPricingEngine(ql.AnalyticEuropeanEngine(process))
    return {
        "price": built.NPV(),
        "delta": built.delta(),
        "gamma": built.gamma(),
        "vega": built.vega(),
        "theta": built.theta(),
        "rho": built.rho(),
    }


@pytest.mark.parametrize("kind", ["vanilla", "digital"])
@given(option=options)
def test_agrees_with_quantlib(kind: str, option: dict[str, Any]) -> None:
    # QuantLib calls an option at the money exactly neither; nobody trades that measure.
    assume(abs(option["spot"] / option["strike"] - 1) > 1e-9)
    expected = quantlib(kind, option)
    found = {"vanilla": vanilla, "digital": digital}[kind](**option)
    for name in NAMES:
        scale = max(1.0, abs(expected[name]))
        assert float(getattr(found, name)) == pytest.approx(expected[name], abs=1e-8 * scale), name


# --- finite differences -------------------------------------------------------------------------


def slopes(price: Any, spot: float, vol: float, time: float) -> dict[str, float]:
    """Central differences of ``price(spot, vol, time)``, steps fit for doubles."""
    ds, dv, dt = spot * 1e-5, vol * 1e-5, time * 1e-5
    big = spot * 1e-4
    return {
        "delta": (price(spot + ds, vol, time) - price(spot - ds, vol, time)) / (2 * ds),
        "gamma": (
            price(spot + big, vol, time) - 2 * price(spot, vol, time) + price(spot - big, vol, time)
        )
        / big**2,
        "vega": (price(spot, vol + dv, time) - price(spot, vol - dv, time)) / (2 * dv),
        "theta": -(price(spot, vol, time + dt) - price(spot, vol, time - dt)) / (2 * dt),
    }


@pytest.mark.parametrize("kind", [vanilla, digital])
@given(option=options)
def test_greeks_are_the_slopes_of_the_price(kind: Any, option: dict[str, Any]) -> None:
    deviation = option["volatility"] * sqrt(option["years"])
    assume(deviation > 0.03)
    rest = {key: option[key] for key in ("rate", "dividend", "call")}

    def price(spot: float, vol: float, years: float) -> float:
        return float(kind(spot, option["strike"], years, vol, **rest).price)

    found = kind(**option)
    expected = slopes(price, option["spot"], option["volatility"], option["years"])
    for name, value in expected.items():
        assert float(getattr(found, name)) == pytest.approx(value, rel=2e-3, abs=2e-5), name


@given(
    distance=st.floats(-3, 3),
    vol=st.floats(2e-5, 5e-4),
    left=st.floats(2, 900),
    average=st.floats(-1, 1),
    averaging=st.sampled_from([0.0, TWAP_S]),
)
def test_greeks_of_up_are_the_slopes_of_its_probability(
    distance: float, vol: float, left: float, average: float, averaging: float
) -> None:
    assume(averaging == 0 or abs(left - averaging) > 0.1)
    spot = 60_000.0
    strike = spot * (1 + distance * vol * sqrt(left))
    mean = spot * (1 + average * vol * sqrt(TWAP_S))

    def price(s: float, v: float, seconds: float) -> float:
        if averaging == 0:
            return float(up_probabilities(s, strike, v, seconds))
        known = mean
        if seconds < averaging and seconds != left:
            # As time passes with spot standing still, the average takes spot in.
            past, now = averaging - left, averaging - seconds
            known = (past * mean + (now - past) * s) / now
        return float(up_probabilities_twap(s, strike, v, seconds, known))

    found = up_greeks(spot, strike, vol, left, mean, averaging)
    assert float(found.price) == pytest.approx(price(spot, vol, left), abs=1e-12)
    width = vol * sqrt(left)
    step = spot * width * 1e-3
    delta = (price(spot + step, vol, left) - price(spot - step, vol, left)) / (2 * step)
    gamma = (
        price(spot + step, vol, left) - 2 * price(spot, vol, left) + price(spot - step, vol, left)
    ) / step**2
    dv, dt = vol * 1e-4, left * 1e-5
    vega = (price(spot, vol + dv, left) - price(spot, vol - dv, left)) / (2 * dv)
    theta = -(price(spot, vol, left + dt) - price(spot, vol, left - dt)) / (2 * dt)
    unit = 1 / (spot * width)
    assert float(found.delta) == pytest.approx(delta, rel=1e-3, abs=1e-4 * unit)
    assert float(found.gamma) == pytest.approx(gamma, rel=1e-2, abs=1e-2 * unit**2)
    assert float(found.vega) == pytest.approx(vega, rel=1e-3, abs=1e-4 / vol)
    assert float(found.theta) == pytest.approx(theta, rel=1e-2, abs=1e-3 / left)


# --- limits -------------------------------------------------------------------------------------


@given(option=options)
def test_call_and_put_digitals_are_a_bond(option: dict[str, Any]) -> None:
    up, down = (digital(**{**option, "call": side}) for side in (True, False))
    bond = np.exp(-option["rate"] * option["years"])
    assert float(up.price + down.price) == pytest.approx(bond, rel=1e-12)
    assert float(up.delta + down.delta) == pytest.approx(0, abs=1e-12)
    assert float(up.vega + down.vega) == pytest.approx(0, abs=1e-12)


@given(option=options)
def test_put_call_parity(option: dict[str, Any]) -> None:
    call, put = (float(vanilla(**{**option, "call": side}).price) for side in (True, False))
    forward = option["spot"] * np.exp(-option["dividend"] * option["years"]) - option[
        "strike"
    ] * np.exp(-option["rate"] * option["years"])
    assert call - put == pytest.approx(forward, abs=1e-9)


@pytest.mark.parametrize(("years", "vol"), [(0.0, 0.3), (0.5, 0.0), (0.0, 0.0)])
def test_without_time_or_volatility_only_the_payoff_is_left(years: float, vol: float) -> None:
    spot = [90.0, 100.0, 110.0]
    up = digital(spot, 100.0, years, vol)
    assert up.price.tolist() == [0, 1, 1]
    assert digital(spot, 100.0, years, vol, call=False).price.tolist() == [1, 0, 0]
    for name in ("delta", "gamma", "vega", "theta"):
        assert getattr(up, name).tolist() == [0, 0, 0], name
    call = vanilla(spot, 100.0, years, vol)
    assert call.price.tolist() == [0, 0, 10]
    assert call.delta.tolist() == [0, 1, 1]
    assert call.gamma.tolist() == [0, 0, 0]


@given(exponent=st.floats(-14, -1), side=st.sampled_from([0.999999, 1.0, 1.000001]))
def test_close_to_expiry_and_strike_everything_stays_finite(exponent: float, side: float) -> None:
    found = digital(60_000.0 * side, 60_000.0, 10.0**exponent, 0.5)
    for name in NAMES:
        assert np.isfinite(getattr(found, name)), name
    assert 0 <= float(found.price) <= 1


def test_nonsense_is_nan_in_its_place_alone() -> None:
    found = digital([100, -1, np.nan, 100, 100], 100, [1, 1, 1, -1, 1], [0.2, 0.2, 0.2, 0.2, -0.1])
    for name in NAMES:
        assert np.isnan(getattr(found, name)).tolist() == [False, True, True, True, True]
    inside = up_greeks([60_000, 0, np.inf], 60_000, 1e-4, 30, averaging_s=TWAP_S)
    assert np.isnan(inside.price).tolist() == [False, True, True]
    with pytest.raises(BadValue, match="averaging_s=-1"):
        up_greeks(1, 1, 1e-4, 1, averaging_s=-1)


def test_up_at_the_end_is_decided_by_the_average() -> None:
    found = up_greeks(59_000, 60_000, 1e-4, 0, average_so_far=[59_999, 60_000], averaging_s=TWAP_S)
    assert found.price.tolist() == [0, 1]
    assert isinstance(found, Greeks)


def test_an_average_that_can_no_longer_lose_is_worth_one() -> None:
    found = up_greeks(60_000, 1_000, 1e-4, 1, average_so_far=60_000, averaging_s=TWAP_S)
    assert (float(found.price), float(found.delta), float(found.theta)) == (1, 0, 0)
