"""How things are shown: words for lengths of time, plain lines, tables that never fail."""

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from console import view
from console.status import FloorStatus, ProgramStatus, as_json
from models.agents import AgentStatus, Lifecycle
from store.agents import AgentOverview

AGENT = AgentOverview(
    name="market-maker-btc-15m", strategy="market-maker", status=AgentStatus.RUNNING,
    lifecycle=Lifecycle.PAPER, desired=True, reason="", capital_e6=500_000_000,
    pnl_today_e6=-1_234_567, pnl_total_e6=9_876_543_210_123_456_789, open_orders=4,
    position_cost_e6=12_500_000, heartbeat_age_s=2.4, restarts_last_hour=0,
    window_slug="btc-updown-15m-1", lease_holder="host:1", lease_live=True,
)  # fmt: skip
PROGRAM = ProgramStatus("redis", "embedded Redis", "running", 7, 61.0, 5 * 2**20, 1, 0)
STATUS = FloorStatus(
    up=True, mode="sim", home="/srv/floor", uptime_s=3700.0, prefect_ui="http://127.0.0.1:4200",
    liquidity={"liquidity": "replay", "description": "three books", "window_seconds": 60},
    halt="", programs=[PROGRAM], agents=[AGENT], agents_unknown="",
)  # fmt: skip


def shown(status: FloorStatus, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(view.render(status))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_status_shows_what_people_ask_for() -> None:
    text = shown(STATUS)
    for part in (
        "http://127.0.0.1:4200", "replay: three books (windows of 60 s)", "1 h 01 min",
        "market-maker-btc-15m", "running", "-1.23", "2 s ago", "btc-updown-15m-1", "5 MB",
    ):  # fmt: skip
        assert part in text


def test_halt_and_pause_cannot_be_overlooked() -> None:
    paused = replace(AGENT, status=AgentStatus.PAUSED, reason="10 restarts in an hour")
    text = shown(replace(STATUS, halt="kill switch", agents=[paused]))
    assert "HALTED      kill switch" in text
    assert "paused: 10 restarts in an hour" in text
    lines = view.plain_lines(replace(STATUS, halt="kill switch", agents=[paused]))
    assert any("10 restarts" in line for line in lines)
    assert "halted: kill switch" in lines


def test_floor_that_is_down_says_how_to_start_it() -> None:
    down = replace(STATUS, up=False, agents=[], agents_unknown="the floor is not running")
    text = shown(down)
    assert "make run" in text
    assert "agents: the floor is not running" in text


def test_simulator_that_is_away_is_not_called_something_else() -> None:
    assert "does not answer" in shown(replace(STATUS, liquidity=None))


def test_live_floor_says_nothing_about_simulated_liquidity() -> None:
    assert "liquidity" not in shown(replace(STATUS, mode="live", liquidity=None))


def test_json_keeps_money_exact() -> None:
    agent = json.loads(json.dumps(as_json(STATUS)))["agents"][0]
    assert agent["pnl_total_usd"] == "9876543210123.456789"
    assert agent["pnl_today_usd"] == "-1.234567"


@given(cash_e6=st.integers(-(10**18), 10**18), width=st.integers(20, 200))
def test_any_status_can_be_shown_at_any_width(cash_e6: int, width: int) -> None:
    agent = replace(AGENT, pnl_today_e6=cash_e6, position_cost_e6=cash_e6)
    assert shown(replace(STATUS, agents=[agent]), width)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.0, "0 s"), (59.9, "59 s"), (60.0, "1 min 00 s"), (3599, "59 min 59 s"),
     (3600, "1 h 00 min"), (90_061, "25 h 01 min")],
)  # fmt: skip
def test_lengths_of_time(seconds: float | None, words: str) -> None:
    assert view.duration(seconds) == words


def test_age_of_a_clock_that_runs_ahead_is_not_negative() -> None:
    assert view.age(-3.0) == "0 s ago"
    assert view.age(None) == "never"
