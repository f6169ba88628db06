"""What the floor tells is read as it concerns an agent; nonsense never stops and never raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.units import USD
from risk.facts import NOTHING_KNOWN, FloorFacts
from risk.gate import Gate
from risk.limits import Limits
from risk.policies import PolicyFile

ROW = {
    "at_ns": 5, "floor_day_pnl_e6": -7, "floor_shares_e6": 8, "var_e6": 9,
    "greeks": {"BTC": [1, 2.5, 3]}, "up_greeks": {"0xm": [0.1, 0.2, 0.3]}, "killed": "",
    "stops": {}, "trials": {}, "markets": {},
}  # fmt: skip


def test_it_reads_what_the_risk_watch_tells() -> None:
    facts = FloorFacts.from_row(ROW, "anna")
    assert facts == FloorFacts(
        -7, 8, 9, {"BTC": (1.0, 2.5, 3.0)}, {"0xm": (0.1, 0.2, 0.3)}, "", 1.0
    )


@pytest.mark.parametrize(
    ("told", "killed", "share"),
    [
        ({"killed": "by hand", "stops": {"api-errors": "x"}}, "by hand", 1.0),
        ({"killed": 1}, "1", 1.0),
        ({"stops": {"api-errors": "half fail"}}, "breaker api-errors: half fail", 1.0),
        ({"stops": {"agent-losses:anna": "five"}}, "breaker agent-losses:anna: five", 1.0),
        ({"stops": {"agent-losses:bob": "five", "market-anomaly:x": "wide"}}, "", 1.0),
        ({"trials": {"api-errors": 0.5, "agent-losses:anna": 0.25}}, "", 0.25),
        ({"trials": {"agent-losses:bob": 0.25, "api-errors": 7}}, "", 1.0),
    ],
)
def test_switch_and_breakers_count_for_those_they_concern(told, killed, share) -> None:
    facts = FloorFacts.from_row({**ROW, **told}, "anna")
    assert (facts.killed, facts.share) == (killed, share)


def test_a_market_may_be_stopped_alone() -> None:
    facts = FloorFacts.from_row({**ROW, "markets": {"0xm": "breaker market-anomaly:m: wide"}})
    assert facts.killed == "" and facts.stopped("0xother") == ""
    assert facts.stopped("0xm") == "breaker market-anomaly:m: wide"
    killed = FloorFacts.from_row({**ROW, "killed": "by hand", "markets": {"0xm": "wide"}})
    assert killed.stopped("0xm") == killed.stopped("0xother") == "by hand"


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([name for name in ROW if name != "killed"]), junk))
def test_nonsense_counts_as_not_told(row) -> None:
    facts = FloorFacts.from_row(row, "anna")
    assert type(facts.var_e6) is int and 0 < facts.share <= 1
    assert all(len(one) == 3 for one in (*facts.greeks.values(), *facts.up_greeks.values()))
    assert FloorFacts.from_row({}) == NOTHING_KNOWN


def test_a_trial_lets_a_part_of_the_usual_size_through() -> None:
    limits = Limits(500 * USD, 20 * USD, 100 * USD, 200 * USD, 3)
    whole, trial = (Gate(PolicyFile(), limits, 500 * USD, share) for share in (1.0, 0.25))
    assert (whole.trade_e6, trial.trade_e6) == (20 * USD, 5 * USD)
