"""The summary as a whole, and what a run must be."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.results.summary import summarise
from models.errors import BadValue
from models.results import DOWN_WON, TABLES, UNRESOLVED, UP_WON, check_table
from models.summary import Summary
from tests.engine.results.runs import made_run, market, run, runs, tables


@given(runs(), st.sampled_from([60, 300, 3_600]))
def test_a_summary_is_json_both_ways(result, period_s):
    summary = summarise(result, period_s)
    text = summary.model_dump_json()
    assert Summary.model_validate_json(text) == summary
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert summarise(result, period_s) == summary


def test_one_agent_alone_is_the_total():
    summary = summarise(made_run(3, agents=1, windows=20))
    (agent,) = summary.agents
    assert agent.model_copy(update={"name": "total"}) == summary.total


@given(runs())
def test_counts_of_agents_add_up(result):
    summary = summarise(result)
    for read in (
        lambda agent: agent.windows.count,
        lambda agent: agent.windows.won,
        lambda agent: agent.orders.count,
        lambda agent: agent.orders.fills,
        lambda agent: sum(bucket.pnl_e6 for bucket in agent.by_hour),
        lambda agent: agent.calibration.forecasts if agent.calibration else 0,
        lambda agent: agent.adverse[-1].fills,
    ):
        assert read(summary.total) == sum(read(agent) for agent in summary.agents)


def test_a_run_in_which_nothing_happened_has_a_summary():
    summary = summarise(run())
    assert summary.total.money.pnl_e6 == 0
    assert summary.total.calibration is None
    assert summary.agents[0].by_hour == ()


def test_a_failed_agent_keeps_its_traceback_and_the_others_their_figures():
    made = made_run(3, agents=2)
    names = made.agents
    failed = run(
        names, made.capital_e6, made.markets, tables=made.tables, failures={names[1]: "Boom"}
    )
    assert [agent.failure for agent in summarise(failed).agents] == [None, "Boom"]


def test_a_period_must_have_a_length():
    with pytest.raises(BadValue, match="period_s=0"):
        summarise(run(), 0)


# --- the run itself --------------------------------------------------------------------------


def test_winners_come_from_the_windows_unless_the_run_says_them():
    markets = (market(0), market(1), market(2))
    row = dict.fromkeys(TABLES["windows"], 0)
    windows = [row | {"market": 1, "winner": DOWN_WON}, row | {"market": 2, "winner": UNRESOLVED}]
    told = run(markets=markets, tables=tables(windows=windows))
    assert told.resolved().tolist() == [UNRESOLVED, DOWN_WON, UNRESOLVED]
    said = run(markets=markets, winners=(UP_WON, UP_WON, DOWN_WON))
    assert said.resolved().tolist() == [UP_WON, UP_WON, DOWN_WON]


def test_runs_that_do_not_fit_together_are_refused():
    row = dict.fromkeys(TABLES["equity"], 0)
    short = tables()
    short["fills"]["maker"] = np.zeros(1, dtype=bool)
    without = tables()
    del without["orders"]
    for parts, message in (
        ({"agents": ("a", "b"), "capital_e6": (1,)}, "2 agents, 1 capitals"),
        ({"agents": (), "capital_e6": ()}, "no agents"),
        ({"capital_e6": (0,)}, r"capital_e6=\(0,\)"),
        ({"winners": (0,)}, "1 winners for 0 markets"),
        ({"tables": without}, "table orders is missing"),
        ({"tables": short}, "columns of table fills differ in length"),
        ({"tables": tables(equity=[row | {"agent": 1}])}, "table equity names agent 1 of 1"),
    ):
        with pytest.raises(BadValue, match=message):
            run(**parts)
    with pytest.raises(BadValue, match="table fills lacks the column time_ns"):
        check_table("fills", {})
