"""The whole floor: it starts, trades, survives the death of each part, and stops clean.

The tests of this module share one floor and run in order; each leaves it trading.
"""

import signal
from typing import Any

import httpx
import psutil
import pytest
from eth_account import Account

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


def test_a_killed_trader_trades_again_and_loses_nothing(floor: Floor) -> None:
    before = floor.lease(MAKER)
    victim = floor.trader(MAKER)
    count = fills(floor)
    victim.send_signal(signal.SIGKILL)
    floor.until(
        "killed trader: a new session holds the lease",
        lambda: (now := floor.lease(MAKER))["live"] and now["token"] > before["token"],
        60,
    )
    floor.until("killed trader: it fills again", lambda: fills(floor) > count, 120)
    assert_books_agree_on_orders(floor)


@pytest.mark.parametrize("name", ["simulator", "redis", "postgres"])
def test_a_killed_service_comes_back_and_trading_goes_on(floor: Floor, name: str) -> None:
    floor.program(name).send_signal(signal.SIGKILL)
    floor.until(f"{name} runs again", lambda: floor.program(name).is_running(), 60)
    count = 0

    def counted() -> bool:
        nonlocal count
        count = fills(floor)
        return True

    floor.until(f"{name}: the database answers", counted, 60)
    floor.until(f"{name}: fills go on", lambda: fills(floor) > count, 180)


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
    assert_books_agree_on_orders(floor)
    assert_money_agrees(floor)
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


def ledger(floor: Floor) -> dict[str, Any]:
    signer = Account.from_key(signing_key(floor.settings).get_secret_value()).address
    found: dict[str, Any] = floor.simulator(f"/admin/ledger/{signer}?limit=100000")
    return found


def assert_books_agree_on_orders(floor: Floor) -> None:
    """No order of the exchange is unknown to us, and none was sent twice."""
    theirs = [order["order_id"] for order in ledger(floor)["orders"]]
    assert len(theirs) == len(set(theirs))
    ours = {row["order_id"] for row in floor.query("SELECT order_id FROM orders")}
    assert set(theirs) <= ours
    intents = floor.query(
        "SELECT intent_id FROM orders WHERE state NOT IN ('rejected', 'cancelled', 'expired')"
        " GROUP BY intent_id HAVING count(*) > 1"
    )
    assert intents == []


def assert_money_agrees(floor: Floor) -> None:
    """Shares and cash of the wallet are what our fills and settlements make them."""
    (wallet,) = ledger(floor)["wallets"].values()
    shares = {token: size for token, size in wallet["shares_e6"].items() if size}
    ours = {
        row["token_id"]: int(row["size"])
        for row in floor.query(
            "SELECT token_id, (sum(size) * 1000000)::bigint AS size FROM positions p"
            " JOIN markets m USING (condition_id)"
            " WHERE NOT settled AND m.winner IS NULL GROUP BY token_id HAVING sum(size) <> 0"
        )
    }
    assert ours == shares
    traded = floor.one(
        "SELECT (coalesce(sum(CASE WHEN status = 'FAILED' THEN 0"
        " WHEN side = 'BUY' THEN -cash - fee ELSE cash - fee END), 0) * 1000000)::bigint FROM fills"
    )
    paid = floor.one(
        "SELECT (coalesce(sum(p.size), 0) * 1000000)::bigint FROM positions p"
        " JOIN markets m USING (condition_id) WHERE m.winner = p.outcome"
    )
    assert wallet["cash_e6"] == wallet["granted_e6"] + traded + paid
