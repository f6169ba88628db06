"""`floor sim` against a running simulator."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from console.sim import floor_address, parameters, sim_app
from models.errors import BadValue, ConfigError, NotReady
from models.settings import Liquidity, Settings
from venue.polymarket.client import PolymarketVenue
from venue.simulator.config import SimulatorConfig
from venue.simulator.faults import NAMES
from venue.simulator.server import RunningSimulator, start_simulator

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def sim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningSimulator]:
    running = await start_simulator(SimulatorConfig(liquidity=Liquidity.MODEL))
    monkeypatch.setenv("SIM_PORT", str(running.port))
    monkeypatch.setenv("FLOOR_HOME", str(tmp_path))
    monkeypatch.setenv("TRADING_MODE", "sim")
    monkeypatch.setenv("COLUMNS", "200")
    yield running
    await running.close()


@pytest.fixture
def run(sim: RunningSimulator) -> Run:
    """Run `floor sim …` in a thread, as the simulator needs this one."""

    async def command(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, sim_app, list(words))

    return command


async def test_faults_are_listed_with_what_they_do(run: Run) -> None:
    listed = await run("faults")
    assert listed.exit_code == 0
    known = json.loads((await run("faults", "--json")).stdout)["known"]
    assert known == NAMES
    assert all(name in listed.stdout for name in NAMES)


async def test_a_fault_is_on_until_its_limit_or_until_cleared(
    run: Run, sim: RunningSimulator
) -> None:
    first = await run("fault", "rate-limit", "--count", "3", "--with", "retry_after=7")
    assert "on: rate-limit (3 times more)" in first.stdout
    second = await run("fault", "clock-skew", "--seconds", "600", "--with", "offset=45")
    assert "clock-skew" in second.stdout
    now = sim.world.now()
    fault = sim.world.faults.get("rate-limit", now)
    assert fault is not None
    assert fault.params["retry_after"] == 7
    assert sim.world.faults.active(now) == ["clock-skew", "rate-limit"]
    assert "on: rate-limit" in (await run("clear", "clock-skew")).stdout
    assert (await run("clear")).stdout.strip() == "no fault is on"
    assert sim.world.faults.active(sim.world.now()) == []


async def test_the_ledger_shows_what_the_floor_has(run: Run) -> None:
    missing = await run("ledger")
    assert isinstance(missing.exception, BadValue)
    settings = Settings()
    venue = await PolymarketVenue.connect(settings, 1, "tester")
    try:
        shown = await run("ledger")
        assert shown.exit_code == 0, shown.exception
        assert venue.wallet in shown.stdout
        assert "1000.00" in shown.stdout.replace(",", "")
        told = json.loads((await run("ledger", venue.wallet, "--json")).stdout)
        assert told["wallets"][venue.wallet]["cash_e6"] == 1_000_000_000
        assert floor_address(settings) == told["owner"]
    finally:
        await venue.close()


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (["fault", "nonsense"], BadValue, "unknown fault 'nonsense'; use one of"),
        (["fault", "tick-change"], BadValue, "is no open market"),
        (["fault", "partial-fak", "--with", "shares=none"], BadValue, "shares"),
        (["fault", "ws-drop", "--with", "seconds"], BadValue, "must be KEY=VALUE"),
        (["ledger", "0x12"], BadValue, "that is no address"),
    ],
)
async def test_wrong_words_are_refused_by_name(
    run: Run, words: list[str], error: type[Exception], says: str
) -> None:
    result = await run(*words)
    assert isinstance(result.exception, error)
    assert says in str(result.exception)


async def test_without_a_simulator_it_says_how_to_start_one(
    run: Run, sim: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sim.close()
    result = await run("faults")
    assert isinstance(result.exception, NotReady)
    assert f"127.0.0.1:{sim.port}" in str(result.exception)
    monkeypatch.setattr("console.sim.load_settings", lambda: _Live())
    assert isinstance((await run("faults")).exception, ConfigError)


class _Live:
    """Settings of live trading, as far as `floor sim` looks at them."""

    simulated = False


def test_parameters_are_json_where_they_can_be() -> None:
    assert parameters(["a=1", "b=0.5", "c=0.001x", "d=", 'e="1"']) == {
        "a": 1, "b": 0.5, "c": "0.001x", "d": "", "e": "1",
    }  # fmt: skip
