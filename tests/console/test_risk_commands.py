"""`floor risk` and `floor kill` as people type them, on real servers."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from models.errors import FloorError
from models.markets import Outcome
from models.settings import ROOT
from risk.breaker_rules import KINDS
from store import agents, risk, state
from store.database import Database
from store.reserve import Reserve
from tasks.agent_files import find_agent
from tasks.guards import halt_reason
from tasks.risk_plots import read_scenarios
from tests.tasks.risk_rows import (
    add_market,
    add_order,
    add_position,
    add_result,
    add_spot,
    window,
)
from tests.tasks.risk_stage import AGENTS, exchange, settings_of

MAKER, MOMENTUM = AGENTS
Floor = Callable[..., Result]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, programs: SimpleNamespace) -> Path:
    """A floor's home with nothing running."""
    for name in ("POSTGRES_PORT", "REDIS_PORT", "SIM_PORT"):
        monkeypatch.setenv(name, str(programs.free_port()))
    monkeypatch.setenv("FLOOR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    return tmp_path / "home"


@pytest.fixture
def stores(
    home: Path, monkeypatch: pytest.MonkeyPatch, clean_postgres_url: str, redis_url: str
) -> str:
    monkeypatch.setenv("DATABASE_URL", clean_postgres_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    return clean_postgres_url


def floor(*words: str) -> Result:
    """Run a command; what it raises of ours is its answer, as `main` would print it."""
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, FloorError | SystemExit):
        raise result.exception
    return result


def answer(*words: str) -> Any:
    result = floor(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def with_database(url: str, action: Callable[[Database], Any]) -> Any:
    async def act() -> Any:
        async with Database(url, max_size=1) as database:
            return await action(database)

    return asyncio.run(act())


@pytest.fixture
def book(stores: str, redis_url: str) -> Iterator[str]:
    """Positions in two markets, an order, results and a day of prices."""
    walk = np.exp(np.cumsum(np.random.default_rng(5).normal(0, 3e-4, 800)))
    walk *= 60_000 / walk[-1]

    async def fill(database: Database) -> None:
        await agents.sync_agents(database, [find_agent(name) for name in AGENTS])
        await add_spot(database, "BTC", list(walk[-600:]))
        btc = await add_market(database, window(1))
        await add_position(database, MAKER, btc, Outcome.UP, 100, 48)
        await add_order(database, MAKER, btc, Outcome.DOWN, 0.40, 20)
        for number in range(8):
            market = await add_market(database, window(10 + number, left_s=-60 * (number + 1)))
            await add_result(database, MAKER, market, (-1) ** number * (number + 1), 60 * number)
        await database.execute(
            "INSERT INTO market_data (ts, token_id, recv_at, seq, condition_id, kind, ask,"
            " ask_size) VALUES (now(), %s, now(), 1, %s, 'top', 0.55, 30)",
            (btc.down_token, btc.condition_id),
        )
        async with Reserve(redis_url) as reserve:
            await reserve.rebuild({MAKER: 56_000_000})

    with_database(stores, fill)
    yield stores


# --- without a floor ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("show",), ("stress",), ("var",), ("reset", "kill"), ("reset", "api-errors")]
)
def test_without_a_floor_the_mend_is_named(home: Path, words: tuple[str, ...]) -> None:
    result = floor("risk", *words)
    assert "`floor up` starts it" in str(result.exception)


def test_the_switch_can_be_thrown_while_nothing_runs_and_says_so(home: Path) -> None:
    result = floor("kill", "--reason", "a drill")
    assert result.exit_code == 0, result.output
    assert "the kill switch is thrown: a drill" in result.output
    assert "the floor is not running here; when it is started it will not trade" in result.output
    kill = risk.read_kill_file(home)
    assert kill is not None and kill.reason == "a drill"
    again = json.loads(floor("kill", "--reason", "more", "--json").stdout)
    assert (again["again"], again["reason"], again["sure"]) == (True, "a drill", True)


# --- floor kill and reset -----------------------------------------------------------------------


def test_kill_cancels_and_reset_lifts_it(
    stores: str, home: Path, monkeypatch: pytest.MonkeyPatch, programs: SimpleNamespace,
    redis_url: str,
) -> None:  # fmt: skip
    port = programs.free_port()
    monkeypatch.setenv("SIM_PORT", str(port))

    async def drill() -> Result:
        async with exchange(settings_of(home, port, stores, redis_url), port) as venue:
            await venue.rest(venue.lines[0], 3)
            async with Database(stores, max_size=1) as database:
                await agents.sync_agents(database, [find_agent(name) for name in AGENTS])
                result = await asyncio.to_thread(floor, "kill", "--reason", "a drill")
                assert "a drill" in await halt_reason(database, MAKER)
            assert await venue.open() == set()
            return result

    result = asyncio.run(drill())
    assert result.exit_code == 0, result.output
    assert re.search(r"3 orders cancelled in \d+\.\d\d s; none is open any more", result.output)
    # Halting and lifting a halt has nothing to do with it.
    with_database(stores, state.clear_halt)
    assert answer("risk", "show")["kill"]["reason"] == "a drill"
    assert "KILLED" in floor("risk", "show").output
    assert answer("risk", "reset", "kill") == {"name": "kill", "changed": True, "was": "a drill"}
    assert answer("risk", "reset", "kill")["changed"] is False
    assert with_database(stores, lambda db: halt_reason(db, MAKER)) == ""


def test_a_venue_that_does_not_answer_is_not_sure(
    stores: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another machine's floor: nothing runs here, and the venue is out there.
    monkeypatch.setattr("console.kill.running", lambda home: object())
    result = floor("kill", "--reason", "a drill")
    assert result.exit_code == 1
    assert "NOT SURE that no order is open: run `floor kill` again" in result.output


def test_breakers_are_reset_by_name(stores: str) -> None:
    name = f"agent-losses:{MAKER}"

    async def trip(database: Database) -> None:
        await agents.sync_agents(database, [find_agent(MAKER)])
        await risk.save_breaker(
            database, name,
            {"status": "tripped", "reason": "five lost", "since_ns": 5, "trips": 1, "mark_ns": 5},
        )  # fmt: skip

    with_database(stores, trip)
    (line,) = answer("risk", "show")["breakers"]
    assert (line["name"], line["status"], line["reason"]) == (name, "tripped", "five lost")
    assert "re-arms by itself" in line["how"]
    unknown = floor("risk", "reset", "agent-loses")
    assert f"open now: {name}" in str(unknown.exception)
    done = floor("risk", "reset", name)
    assert "is reset; it was: five lost" in done.output
    assert "closed already" in floor("risk", "reset", name).output
    rows = with_database(stores, risk.breaker_rows)
    assert rows[name]["status"] == "closed"
    assert time.time_ns() - rows[name]["mark_ns"] < 60 * 10**9


# --- floor risk show, check, stress, var --------------------------------------------------------


def test_show_tells_everything(book: str) -> None:
    seen = answer("risk", "show")
    used = {line["policy"]: line for line in seen["policies"]}
    assert used["FloorLimit"]["used"] == used["AgentLimit"]["used"] == 56
    assert used["PositionLimit market"]["used"] == 100
    assert used["VarLimit"]["used"] == pytest.approx(float(seen["var_usd"]))
    assert used["TradeLimit"]["used"] is None
    assert used["ConcurrentTrades"]["used"] == 1
    assert 0 < used["InventoryLimit"]["used"] < 100
    assert seen["reserved_usd"] == {MAKER: "56.000000"}
    assert seen["max_loss_usd"] == "48.000000"
    # When the order fills, 20 shares are paired and 8 more are paid.
    assert seen["max_loss_if_filled_usd"] == "48.000000"
    assert seen["simulated"] is True
    (line,) = [one for one in seen["windows"] if one["up"]]
    assert 0 < line["up_probability"] < 1 and line["worst_usd"] == "-48.000000"
    assert seen["greeks"]["BTC"]["delta"] > 0
    (hedge,) = seen["hedges"]
    # All there is on offer, to within a lot.
    assert (hedge["outcome"], hedge["price"]) == ("Down", 0.55)
    assert 29.9 <= hedge["shares"] <= 30
    shown = floor("risk", "show").output
    assert "reserved by market-maker-btc-15m: $56.00" in shown
    assert "breakers: all closed" in shown


def test_show_without_redis_shows_the_rest(book: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:x@127.0.0.1:1/0")
    seen = answer("risk", "show")
    assert "Redis does not answer" in seen["reserved_unknown"]
    assert seen["max_loss_usd"] == "48.000000" and seen["facts_age_s"] is None


def test_check_names_file_and_line(home: Path, tmp_path: Path) -> None:
    good = floor("risk", "check")
    assert good.exit_code == 0 and "14 policies and 9 breakers" in good.output
    bad = tmp_path / "mine.yaml"
    bad.write_text("policies:\n  - {type: TradeLimit, share_of_capital: 2}\nbreakers:\n  - {}\n")
    result = floor("risk", "check", str(bad))
    assert result.exit_code == 2
    told = result.output + result.stderr
    assert "mine.yaml:2: TradeLimit: share_of_capital=2" in told
    assert "mine.yaml:4: a breaker has no name" in told
    shown = floor("risk", "check", str(bad), "--json")
    assert shown.exit_code == 2 and len(json.loads(shown.stdout)["faults"]) == 2
    assert floor("risk", "check", str(tmp_path / "none.yaml")).exit_code == 2


def test_stress_runs_our_scenarios_and_others_and_draws(book: str, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("- {name: up-a-bit, other_spot: 0.05}\n")
    drawn = tmp_path / "stress.png"
    told = answer("risk", "stress", "--scenarios", str(own), "--plot", str(drawn))
    by_name = {one["name"]: one for one in told["scenarios"]}
    assert by_name["all-wrong"]["after_usd"] == "-48.000000"
    # All Up: each of the hundred pays, 48 were paid.
    assert float(by_name["up-a-bit"]["after_usd"]) == pytest.approx(52, abs=1)
    assert float(by_name["crash-2024-08-05"]["after_usd"]) == pytest.approx(-48, abs=1)
    assert drawn.read_bytes().startswith(b"\x89PNG") and drawn.stat().st_size > 10_000
    assert "all-wrong" in floor("risk", "stress").output
    own.write_text("- {name: x, spott: {BTC: 1}}\n")
    wrong = floor("risk", "stress", "--scenarios", str(own))
    assert "own.yaml: scenario x: unknown key 'spott'; did you mean 'spot'?" in str(wrong.exception)
    ending = floor("risk", "stress", "--plot", str(tmp_path / "stress.gif"))
    assert "must end in one of .png, .svg, .pdf" in str(ending.exception)


def test_var_by_every_method_and_what_is_missing_for_it(book: str) -> None:
    told = answer("risk", "var")
    assert told["windows"] == 8
    ways = told["results"]["0.95"]
    # One of eight is the tail of all smaller confidences: the worst of them, -8.
    assert ways["historical"]["var_usd"] == "8.000000"
    assert {"parametric", "Cornish-Fisher", "Monte Carlo"} < set(ways)
    assert told["book"]["worst_usd"] == "-48.000000" and told["book"]["paths"] == 100_000
    assert 0 < told["book"]["loss_probability"] < 1
    assert "are needed" in told["spot"][0]["why_not"]
    shown = floor("risk", "var").output
    assert "results of 8 window ends" in shown and "open book" in shown


def test_var_of_a_floor_that_never_traded(stores: str) -> None:
    told = answer("risk", "var")
    assert told["windows"] == 0 and told["book"]["why_not"] == "nothing is held"
    assert all("why_not" in way for way in told["results"]["0.99"].values())


def test_the_spot_model_is_back_tested_on_what_was_kept(stores: str) -> None:
    moves = np.random.default_rng(2).normal(0, 4e-4, 1_500)
    prices = 60_000 * np.exp(np.cumsum(moves))

    async def fill(database: Database) -> None:
        await add_spot(database, "BTC", list(prices))
        await database.execute(
            "UPDATE spot_prices SET ts = now() - 15 * (now() - ts) - interval '1 second'"
        )

    with_database(stores, fill)
    for line in answer("risk", "var")["spot"]:
        assert line["observations"] > 1_000
        assert line["p_values"]["kupiec"] > 0.01
    assert "accepted" in floor("risk", "var").output


def test_the_page_names_every_breaker_and_its_scenarios_can_be_read(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "risk.md").read_text(encoding="utf-8")
    assert all(f"`{name}" in text for name in KINDS)
    example = tmp_path / "example.yaml"
    example.write_text(text.partition("```yaml\n")[2].partition("```")[0])
    assert [one.name for one in read_scenarios(example)] == ["rate-decision", "against-us"]
