"""The risk watch on real servers: facts it tells, breakers it trips, and parts that are away."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from models.events import SpotSource
from models.markets import Outcome
from models.settings import Settings
from models.units import SECOND_NS
from risk.breakers import Status
from store import agents, markets, risk, state
from store.bus import Bus
from store.database import Database
from store.events import recent_events
from store.reserve import Reserve
from store.risk import Kill
from tasks import risk_watch
from tasks.agent_files import find_agent
from tasks.guards import halt_reason
from tasks.risk_policies import Policies
from tasks.risk_watch import RiskWatch
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
WALK = np.exp(np.cumsum(np.random.default_rng(3).normal(0, 8e-5, 600)))
WALK *= 60_000 / WALK[-1]


@pytest.fixture
async def database(clean_postgres_url: str) -> AsyncIterator[Database]:
    async with Database(clean_postgres_url, max_size=2) as opened:
        await agents.sync_agents(opened, [find_agent(name) for name in AGENTS])
        yield opened


@pytest.fixture
def settings(clean_postgres_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return settings_of(tmp_path, 1, clean_postgres_url, redis_url)


def policies(tmp_path: Path, text: str) -> Policies:
    path = tmp_path / "risk.yaml"
    path.write_text(text)
    return Policies(1_000_000_000, path)


async def breaker_events(database: Database) -> list[tuple[str, str]]:
    found = await recent_events(database, kind="breaker")
    return [(one.detail["breaker"], one.detail["after"]) for one in reversed(found)]


async def test_facts_are_those_of_the_whole_book(
    database: Database, settings: Settings, redis_url: str
) -> None:
    await add_spot(database, "BTC", list(WALK))
    await add_spot(database, "ETH", list(WALK / 20))
    btc = await add_market(database, window(1))
    eth = await add_market(database, window(2, "ETH", strike_e8=3_000 * 10**8))
    await add_position(database, MAKER, btc, Outcome.UP, 100, 48)
    await add_position(database, MOMENTUM, btc, Outcome.DOWN, 30, 12)
    await add_position(database, MOMENTUM, eth, Outcome.DOWN, 50, 25)
    await add_order(database, MAKER, btc, Outcome.UP, 0.40, 20)
    async with RiskWatch(settings) as watch:
        told = await watch.look()
    # 100 and 20 more of Up against 30 of Down, and 50 of the other market.
    assert told["floor_shares_e6"] == 140_000_000
    # 60 and 25 paid, 8 more when the order fills; of the first market 30 come back at least.
    assert told["worst_e6"] == (60 + 8 - 30 + 25) * 1_000_000
    assert 0 < told["var_e6"] <= told["es_e6"] <= told["worst_e6"]
    assert told["greeks"]["BTC"][0] > 0 > told["greeks"]["ETH"][0]
    up = told["up_greeks"][btc.condition_id]
    assert told["greeks"]["BTC"][0] == pytest.approx(70 * up[0])
    assert (told["killed"], told["stops"], told["trials"]) == ("", {}, {})
    async with Reserve(redis_url) as reserve:
        assert await reserve.facts() == told
        assert 0 < await reserve._redis.pttl("risk:facts") <= risk_watch.FACTS_S * 1000


async def test_an_empty_floor_has_facts_too(database: Database, settings: Settings) -> None:
    async with RiskWatch(settings) as watch:
        told = await watch.look()
    assert [told[name] for name in ("var_e6", "worst_e6", "floor_shares_e6")] == [0, 0, 0]
    assert (told["greeks"], told["floor_day_pnl_e6"]) == ({}, 0)


async def test_what_the_model_cannot_tell_apart_counts_with_its_worst(
    database: Database, settings: Settings
) -> None:
    # Windows of a demo: their averaging minutes overlap.
    await add_spot(database, "BTC", list(WALK))
    for number, left_s in enumerate((50, 70), 1):
        market = await add_market(database, window(number, left_s=left_s))
        await add_position(database, MAKER, market, Outcome.UP, 10, 5)
    async with RiskWatch(settings) as watch:
        told = await watch.look()
    assert told["var_e6"] == told["es_e6"] == told["worst_e6"] == 10_000_000


async def lose(database: Database, agent: str, number: int, pnl: float, ago_s: float) -> None:
    await add_result(database, agent, await add_market(database, window(100 + number)), pnl, ago_s)


@pytest.mark.timeout(60)
async def test_losses_in_a_row_stop_the_agent_cancel_its_orders_and_pass(
    database: Database,
    clean_postgres_url: str,
    redis_url: str,
    tmp_path: Path,
    programs: SimpleNamespace,
) -> None:
    port = programs.free_port()
    settings = settings_of(tmp_path, port, clean_postgres_url, redis_url)
    text = "breakers: [{name: agent-losses, max_in_a_row: 3, cooldown_s: 0, trial_s: 0}]"
    async with exchange(settings, port) as venue:
        mine, others = venue.lines
        (order_id,) = await venue.rest(mine, 1)
        (kept,) = await venue.rest(others, 1)
        btc = await add_market(database, window(1))
        await add_order(database, MAKER, btc, Outcome.UP, 0.02, 5)
        await database.execute("UPDATE orders SET order_id = %s", (order_id,))
        for number in range(3):
            await lose(database, MAKER, number, -1, 30 - number)
        async with RiskWatch(settings, policies(tmp_path, text)) as watch:
            told = await watch.look()
            assert told["stops"] == {f"agent-losses:{MAKER}": "3 losses in a row, $3.00 together"}
            assert "3 losses in a row" in await halt_reason(database, MAKER)
            assert await halt_reason(database, MOMENTUM) == ""
            for sweep in list(watch._sweeps):
                await sweep
            assert await venue.open() == {kept}
            # The losses were dealt with; it cools, is tried, and closes.
            seen = [await watch.look() for _ in range(3)]
    assert [bool(one["stops"]) for one in seen] == [True, False, False]
    assert [list(one["trials"].values()) for one in seen] == [[], [0.25], []]
    name = f"agent-losses:{MAKER}"
    assert await breaker_events(database) == [
        (name, "tripped"), (name, "cooling"), (name, "half-open"), (name, "closed"),
    ]  # fmt: skip
    assert await halt_reason(database, MAKER) == ""


async def test_drawdowns_wait_for_a_person_and_survive_restarts(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    capital = sum(find_agent(name).capital_e6 for name in AGENTS)
    share = find_agent(MAKER).capital_e6 / capital
    async with RiskWatch(settings) as watch:
        assert (await watch.look())["floor_day_pnl_e6"] == 0
        loss = find_agent(MAKER).capital_e6 / 1e6 * 0.21
        await lose(database, MAKER, 1, -loss, 1)
        told = await watch.look()
    assert told["floor_day_pnl_e6"] == pytest.approx(-loss * 1e6, abs=1)
    stopped = {f"agent-drawdown:{MAKER}"} | ({"floor-drawdown"} if 0.21 * share > 0.15 else set())
    assert set(told["stops"]) == stopped
    # Another process, the same databases.
    async with RiskWatch(settings) as watch:
        assert set((await watch.look())["stops"]) == stopped
        for name in stopped:
            board = watch._board
            assert board.reset(name, "tester", time.time_ns())
            await risk.save_breaker(database, name, board.row(name))
        # What was lost before is not counted twice.
        assert (await watch.look())["stops"] == {}
        assert (await watch.look())["floor_day_pnl_e6"] == pytest.approx(-loss * 1e6, abs=1)


async def test_capital_that_is_taken_away_is_no_drawdown(
    database: Database, settings: Settings
) -> None:
    async with RiskWatch(settings) as watch:
        await watch.look()
        await database.execute("UPDATE agents SET capital = capital / 2")
        assert (await watch.look())["stops"] == {}
        await database.execute("UPDATE agents SET capital = capital * 3")
        told = await watch.look()
    assert (told["stops"], told["floor_day_pnl_e6"]) == ({}, 0)


async def test_silence_trips_only_after_something_was_heard(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    text = "breakers: [{name: stale-data, max_s: 20, cooldown_s: 0, trial_s: 0}]"
    async with RiskWatch(settings, policies(tmp_path, text)) as watch:
        assert (await watch.look())["stops"] == {}
        await add_spot(database, "BTC", [60_000], time.time() - 10)
        assert (await watch.look())["stops"] == {}
        await database.execute(
            "UPDATE spot_prices SET ts = ts - interval '1 minute',"
            " recv_at = recv_at - interval '1 minute'"
        )
        assert "no market data for 7" in (await watch.look())["stops"]["stale-data"]
        await add_spot(database, "BTC", [60_000])
        seen = [await watch.look() for _ in range(3)]
    assert [bool(one["stops"]) for one in seen] == [True, False, False]


async def test_a_halted_floor_collects_nothing_and_that_is_no_silence(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    text = "breakers: [{name: stale-data, max_s: 20}]"
    async with RiskWatch(settings, policies(tmp_path, text)) as watch:
        await add_spot(database, "BTC", [60_000], time.time() - 10)
        assert (await watch.look())["stops"] == {}
        await state.set_halt(database, "drained")
        assert (await watch.look())["stops"] == {}
        await state.clear_halt(database)
        # Nobody collects yet, and what there is grows old; agents may start meanwhile.
        assert (await watch.look())["stops"] == {}
        await database.execute("UPDATE spot_prices SET recv_at = recv_at - interval '1 minute'")
        assert (await watch.look())["stops"] == {}
        await add_spot(database, "BTC", [60_000])
        assert (await watch.look())["stops"] == {}
        await database.execute("UPDATE spot_prices SET recv_at = recv_at - interval '2 minutes'")
        assert "stale-data" in (await watch.look())["stops"]


@pytest.mark.parametrize(
    ("price", "winner", "trips"),
    [
        (60_100.0, Outcome.DOWN, True),
        (60_100.0, Outcome.UP, False),
        (59_900.0, Outcome.UP, True),
        (60_001.0, Outcome.DOWN, False),  # nearer than we can tell
        (None, Outcome.DOWN, False),
    ],
)
async def test_a_resolution_our_prices_contradict(
    database: Database, settings: Settings, price: float | None, winner: Outcome, trips: bool
) -> None:
    market = await add_market(database, window(1, left_s=-30))
    if price is not None:
        ended = market.end_ns / SECOND_NS - 0.3
        await add_spot(database, "BTC", [price], ended, SpotSource.TWAP_60)
    await markets.set_resolution(database, market.condition_id, winner, time.time_ns())
    async with RiskWatch(settings) as watch:
        told = await watch.look()
    assert ("resolution-disagreement" in told["stops"]) is trips


async def test_the_venue_failing_and_a_clock_that_is_off(
    database: Database,
    clean_postgres_url: str,
    redis_url: str,
    tmp_path: Path,
    programs: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = programs.free_port()
    settings = settings_of(tmp_path, port, clean_postgres_url, redis_url)
    text = "breakers: [{name: api-errors, least: 3}]"
    async with RiskWatch(settings, policies(tmp_path, text)) as watch:
        async with exchange(settings, port):
            failed, offset_ns = await watch._probe.ask()
            assert not failed and offset_ns is not None and abs(offset_ns) < 1.6 * SECOND_NS
            real = watch._probe.ask

            async def late() -> tuple[bool, int | None]:
                failed, offset = await real()
                return failed, None if offset is None else offset + 10 * SECOND_NS

            monkeypatch.setattr(watch._probe, "ask", late)
            assert "our clock is +" in (await watch.look())["stops"]["clock-skew"]
        # The exchange is gone.
        for _ in range(2):
            told = await watch.look()
    assert "calls to the venue failed" in told["stops"]["api-errors"]


async def test_calls_of_sessions_that_fail_trip_it_too(
    database: Database, settings: Settings, tmp_path: Path, redis_url: str
) -> None:
    """Sessions tell how many calls they made and lost; only what is new since a look counts."""
    text = "breakers: [{name: api-errors, least: 30}]"
    async with Bus(redis_url) as bus, RiskWatch(settings, policies(tmp_path, text)) as watch:

        async def beat(token: int, calls: int, failed: int) -> None:
            sent = bus.sent
            bus.heartbeat(MAKER, {"token": token, "calls": (calls, failed)}, ttl_s=30)
            while bus.sent == sent:
                await asyncio.sleep(0.01)

        async def well() -> tuple[bool, int | None]:
            return False, None

        watch._probe.ask = well  # type: ignore[method-assign]
        await beat(1, 500, 400)
        assert "api-errors" not in (await watch.look())["stops"]
        await beat(1, 520, 400)
        assert "api-errors" not in (await watch.look())["stops"]
        await beat(2, 20, 9)
        told = await watch.look()
        assert told["stops"]["api-errors"].startswith("9 of 43 calls to the venue failed")
        # Nobody trades now: what failed before is no cause any more, our own question tells.
        await watch.look()
        assert watch._board.breakers["api-errors"].state.status is Status.COOLING

        async def badly() -> tuple[bool, int | None]:
            return True, None

        watch._probe.ask = badly  # type: ignore[method-assign]
        await watch.look()
        assert watch._board.breakers["api-errors"].state.status is Status.TRIPPED


async def test_without_postgres_it_trips_tells_and_remembers_for_later(
    database: Database, settings: Settings, tmp_path: Path, redis_url: str,
    clean_postgres_url: str,
) -> None:  # fmt: skip
    text = "breakers: [{name: database-lost, max_s: 0.2, cooldown_s: 0, trial_s: 0}]"
    await add_spot(database, "BTC", list(WALK))
    market = await add_market(database, window(1))
    await add_position(database, MAKER, market, Outcome.UP, 10, 5)
    async with RiskWatch(settings, policies(tmp_path, text)) as watch:
        before = await watch.look()
        assert before["worst_e6"] == 5_000_000
        real, watch._database = (
            watch._database,
            Database("postgresql://floor:x@127.0.0.1:1/floor", timeout_s=0.3),
        )
        async with watch._database:
            risk.write_kill_file(settings.floor_home, Kill("no postgres", "tester", 1))
            told = await watch.look()
        watch._database = real
        assert "Postgres has not answered" in told["stops"]["database-lost"]
        assert "no postgres" in told["killed"]
        assert told["worst_e6"] == 5_000_000
        assert await risk.breaker_rows(database) == {}
        # It is back: what happened meanwhile is kept, the switch too.
        back = await watch.look()
        assert "no postgres" in back["killed"]
        assert (await risk.breaker_rows(database))["database-lost"]["status"] == "cooling"
        assert await risk.killed(database) is not None


async def test_without_redis_breakers_still_trip(
    database: Database, clean_postgres_url: str, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, 1, clean_postgres_url)
    for number in range(5):
        await lose(database, MAKER, number, -1, 30 - number)
    async with RiskWatch(settings) as watch:
        await watch.look()
    assert "5 losses in a row" in await halt_reason(database, MAKER)


async def test_a_wrong_policy_file_keeps_the_last_good_one(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    given = policies(tmp_path, "breakers: [{name: agent-losses, max_in_a_row: 2}]")
    async with RiskWatch(settings, given) as watch:
        await watch.look()
        (tmp_path / "risk.yaml").write_text("policies: [{type: TradeLimt}]\n")
        await watch.look()
        assert "risk.yaml:1: unknown policy 'TradeLimt'" in given.fault
        assert watch._board.rules.losses.max_in_a_row == 2
        (tmp_path / "risk.yaml").write_text("breakers: []\n")
        await watch.look()
        assert (given.fault, watch._board.rules.losses.max_in_a_row) == ("", 5)


async def test_a_market_that_is_not_normal_is_stopped_alone_until_it_is_over(
    database: Database, settings: Settings
) -> None:
    odd = await add_market(database, window(1))
    await add_market(database, window(2, "ETH"))
    await database.execute(
        "INSERT INTO market_data (ts, token_id, recv_at, seq, condition_id, kind, bid, bid_size,"
        " ask, ask_size) SELECT now() - n * interval '1 second', %s, now(), 1, %s, 'top', 0.30,"
        " 10, 0.70, 10 FROM generate_series(0, 4) n",
        (odd.up_token, odd.condition_id),
    )
    name = f"market-anomaly:{odd.slug}"
    async with RiskWatch(settings) as watch:
        told = await watch.look()
        assert told["markets"] == {odd.condition_id: f"breaker {name}: spread of 0.4, limit 0.2"}
        assert await halt_reason(database, MAKER) == ""
        assert set(await risk.breaker_rows(database)) == {name}
        await database.execute("UPDATE markets SET ends_at = now() WHERE condition_id = '0xc1'")
        assert (await watch.look())["markets"] == {}
    assert await risk.breaker_rows(database) == {}
