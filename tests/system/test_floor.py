"""The whole floor: it starts, trades, survives the death of each part, and stops clean.

The tests of this module share one floor and run in order; each leaves it trading.
"""

import asyncio
import json

import httpx
import psutil
import pytest
from eth_account import Account

from store.database import Database
from store.urls import urls
from tasks.drilling.books import LIMIT, BooksReport, Ledger, agree
from tasks.drilling.run import LATE
from tests.system.harness import Floor
from venue.wallet import signing_key

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

MAKER = "market-maker-btc-15m"
MOMENTUM = "momentum-btc-15m"


def fills(floor: Floor) -> int:
    count: int = floor.one("SELECT count(*) FROM fills WHERE agent = %s", MAKER)
    return count


def test_two_agents_trade_within_two_minutes(floor: Floor) -> None:
    floor.until(
        "both agents hold their leases",
        lambda: floor.lease(MAKER)["live"] and floor.lease(MOMENTUM)["live"],
        120,
    )
    floor.until("the market maker's first fill", lambda: fills(floor), 120)
    seen = floor.status()
    assert seen["liquidity"]["liquidity"] == "replay"
    agents = {agent["name"]: agent for agent in seen["agents"]}
    assert agents[MAKER]["status"] == "running"
    assert agents[MAKER]["heartbeat_age_s"] < 30
    assert agents[MAKER]["window"].startswith("btc-updown-15m-")


def test_both_sides_of_the_book_fill(floor: Floor) -> None:
    floor.until(
        "fills of Up and of Down",
        lambda: floor.one("SELECT count(DISTINCT outcome) FROM fills WHERE agent = %s", MAKER) == 2,
        180,
    )


def test_market_data_is_kept(floor: Floor) -> None:
    floor.until("top of book", lambda: floor.one("SELECT count(*) FROM market_data") > 50, 60)
    floor.until("spot prices", lambda: floor.one("SELECT count(*) FROM spot_prices") > 20, 60)


def test_a_window_settles_with_its_result_in_the_database_and_in_prefect(floor: Floor) -> None:
    floor.until(
        "a settled window", lambda: floor.one("SELECT count(*) FROM trades WHERE fills > 0"), 180
    )


@pytest.mark.parametrize(
    "words",
    [
        ("kill-trader",),
        ("kill-simulator",),
        ("kill-redis",),
        ("kill-postgres",),
        ("venue-425", "--seconds", "8"),
    ],
    ids=lambda words: words[0],
)
def test_a_drill_finds_the_floor_trading_again_with_nothing_lost(
    floor: Floor, words: tuple[str, ...]
) -> None:
    done = floor.command("drill", *words, "--agent", MAKER, "--json", timeout=500)
    report = json.loads(done.stdout)
    (result,) = report["results"]
    floor.log.append(f"{words[0]}: {result}")
    # How fast it was says more about the machine than about the floor.
    problems = [one for one in result["problems"] if not one.startswith(LATE)]
    assert problems == [], done.stderr
    assert result["again_s"] > 0
    if words[0].startswith("kill"):
        assert result["detected_s"] is not None
    assert result["orders_after"] > result["orders_before"]
    assert (result["duplicates"], result["lost"], result["cash_gap_e6"]) == (0, 0, 0)
    shown = floor.command("drill", "report", "--json")
    assert json.loads(shown.stdout)["results"] == report["results"]


def test_a_second_start_says_that_one_is_running(floor: Floor) -> None:
    again = floor.command("up")
    assert again.returncode == 1
    assert "already up" in again.stderr


def test_every_deployment_with_a_schedule_gets_runs(floor: Floor) -> None:
    """SQLAlchemy 2.1 silently schedules nothing: only runs that exist prove the opposite."""
    api = f"http://127.0.0.1:{floor.settings.prefect_port}/api"
    for name in ("supervise", "reconcile"):
        runs = httpx.post(
            f"{api}/flow_runs/filter",
            json={
                "deployments": {"name": {"any_": [name]}},
                "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
            },
            trust_env=False,
        ).json()
        assert runs, f"{name} never ran"


def test_drained_books_equal_the_exchanges_to_the_last_base_unit(floor: Floor) -> None:
    drained = floor.command("drain", "--wait", "60")
    assert drained.returncode == 0, drained.stdout + drained.stderr
    assert not floor.one("SELECT count(*) FROM agent_leases WHERE holder IS NOT NULL")
    assert_books_agree(floor)
    lifted = floor.command("drain", "--off")
    assert lifted.returncode == 0
    floor.until("agents start again", lambda: floor.lease(MAKER)["live"], 90)


def test_down_stops_everything_it_started(floor: Floor) -> None:
    mine = [
        psutil.Process(row["pid"]) for row in floor.status()["programs"] if row["pid"] is not None
    ]
    mine += [child for process in mine for child in process.children(recursive=True)]
    assert len(mine) > 5
    done = floor.command("down")
    assert done.returncode == 0, done.stdout + done.stderr
    _, alive = psutil.wait_procs(mine, timeout=20)
    assert alive == []
    assert floor.status()["up"] is False


# --- comparing ----------------------------------------------------------------------------------


def assert_books_agree(floor: Floor) -> None:
    """Nothing lost, nothing sent twice, cash and shares equal to the last base unit."""

    async def read() -> Ledger:
        return ledger(floor)

    async def look() -> BooksReport:
        async with Database(urls(floor.settings).database, max_size=1) as database:
            return await agree(database, read, patience_s=60)

    report = asyncio.run(look())
    assert report.faults() == []
    assert report.orders > 0


def ledger(floor: Floor) -> Ledger:
    signer = Account.from_key(signing_key(floor.settings).get_secret_value()).address
    found: Ledger = floor.simulator(f"/admin/ledger/{signer}?limit={LIMIT}")
    return found
