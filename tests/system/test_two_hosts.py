"""Two hosts trade for one floor: one is lost, comes back, is frozen, cut off, and leaves.

Each has its own folder, name, worker and, where the system lets anybody make one, network: the
servers are all it reaches. The tests share the floor and run in order; each leaves it trading.
"""

import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from console.environment import child_environment
from console.leftovers import lives
from models.settings import ROOT
from store.urls import urls
from tests.system.conftest import make_floor
from tests.system.harness import Floor, free_ports
from tests.system.hosts import Host, host, namespaces
from tests.system.test_floor import assert_books_agree

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

MAKER = "market-maker-btc-15m"
AGENTS = (MAKER, "momentum-btc-15m")
PATIENCE_S = 180.0
"""A busy machine takes its time; how long a move takes on an idle one is for the drills to say."""


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    """The servers, the ops process and the collector; the agents are traded on other hosts."""
    yield from make_floor(
        tmp_path_factory,
        SIM_WALLET_KEY=f"0x{secrets.token_hex(32)}",
        WORK_QUEUES="collectors",
        PREFECT_SHARED="true",
    )


@pytest.fixture(scope="module")
def second_server(
    floor: Floor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["subprocess.Popen[bytes]"]:
    """A Prefect server beside the floor's own."""
    addresses = urls(floor.settings)
    own = {
        "floor_home": tmp_path_factory.mktemp("server"),
        "database_url": SecretStr(addresses.database),
        "redis_url": SecretStr(addresses.redis),
        "prefect_port": free_ports(1)[0],
    }
    settings = floor.settings.model_copy(update=own)
    command = [sys.executable, "-m", "prefect", "server", "start"]
    command += ["--host", "127.0.0.1", "--port", str(settings.prefect_port)]
    environment = child_environment(settings, server=True)
    with (settings.floor_home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def hosts(
    floor: Floor,
    second_server: "subprocess.Popen[bytes]",
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Host, Host]]:
    more = [int(second_server.args[-1])]  # type: ignore[index,call-overload]
    with ExitStack() as stack:
        both = [
            stack.enter_context(
                host(floor, name, tmp_path_factory.mktemp(name), more, WORK_QUEUES="default")
            )
            for name in ("alpha", "beta")
        ]
        starts = [threading.Thread(target=each.start) for each in both]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        ready = f"http://127.0.0.1:{more[0]}/api/ready"
        floor.until(
            "the second Prefect server serves",
            lambda: httpx.get(ready, timeout=5, trust_env=False).is_success,
            PATIENCE_S,
        )
        floor.log.append(f"hosts have a network of their own: {namespaces()}")
        yield both[0], both[1]
        if floor.log:
            for each in both:
                print(each.command("logs", "-n", "5").stdout)


@pytest.fixture
def pair(floor: Floor, hosts: tuple[Host, Host]) -> tuple[Host, Host]:
    """The host that trades the market maker, and the other."""
    floor.until("both agents trade", lambda: all_live(floor), PATIENCE_S)
    one, other = hosts
    return (one, other) if one.holds(floor.lease(MAKER)["holder"]) else (other, one)


def all_live(floor: Floor) -> bool:
    return all(floor.lease(agent)["live"] for agent in AGENTS)


def orders(floor: Floor, token: int) -> int:
    """Orders of the market maker that the exchange took from the session with this token."""
    count: int = floor.one(
        "SELECT count(*) FROM orders WHERE agent = %s AND lease_token = %s"
        " AND state IN ('live', 'delayed', 'partial', 'filled', 'cancelled', 'expired')",
        MAKER,
        token,
    )
    return count


@contextmanager
def moving(floor: Floor, what: str, to: Host) -> Iterator[None]:
    """Do something to the maker's host; the agent must trade on at `to`, and there alone."""
    before = floor.lease(MAKER)
    with watched(floor) as seen:
        began = time.monotonic()
        yield
        floor.until(
            f"{what}: {to.name} holds the lease",
            lambda: (now := floor.lease(MAKER))["live"] and to.holds(now["holder"]),
            PATIENCE_S,
        )
        now = floor.lease(MAKER)
        floor.until(f"{what}: its first order", lambda: orders(floor, now["token"]), PATIENCE_S)
        took = time.monotonic() - began
    floor.log.append(f"{what}: trading again after {took:.1f} s")
    assert now["token"] == before["token"] + 1
    assert all(len(holders) == 1 for holders in seen.values()), seen
    assert_books_agree(floor)


@contextmanager
def watched(floor: Floor) -> Iterator[dict[int, set[str]]]:
    """Note who holds the market maker's lease, by its token, many times a second."""
    seen: dict[int, set[str]] = defaultdict(set)
    done = threading.Event()

    def look() -> None:
        with psycopg.connect(urls(floor.settings).database, autocommit=True) as connection:
            while not done.wait(0.1):
                row = connection.execute(
                    "SELECT token, holder FROM agent_leases WHERE agent = %s", [MAKER]
                ).fetchone()
                if row is not None and row[1] is not None:
                    seen[row[0]].add(row[1])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def test_agents_of_a_killed_host_trade_on_the_other(floor: Floor, pair: tuple[Host, Host]) -> None:
    lost, other = pair
    first = floor.lease(MAKER)["token"]
    floor.until("the first order", lambda: orders(floor, first), PATIENCE_S)
    with moving(floor, "host killed", other):
        lost.kill()
    floor.until("host killed: all agents trade", lambda: all_live(floor), PATIENCE_S)


def test_a_host_that_comes_back_steals_nothing(floor: Floor, hosts: tuple[Host, Host]) -> None:
    back = next(each for each in hosts if not each.processes())
    before = {agent: floor.lease(agent) for agent in AGENTS}
    back.start()
    floor.until("host back: its worker polls", lambda: polls(floor, back), PATIENCE_S)
    time.sleep(3.0)
    for agent in AGENTS:
        now = floor.lease(agent)
        assert (now["token"], now["holder"]) == (before[agent]["token"], before[agent]["holder"])


def polls(floor: Floor, here: Host) -> bool:
    """Whether Prefect has heard of the host's worker since it was started again."""
    workers = httpx.post(
        f"http://127.0.0.1:{floor.settings.prefect_port}/api/work_pools/traders/workers/filter",
        json={},
        trust_env=False,
    ).json()
    began = min(process.create_time() for process in here.processes())
    return any(
        row["name"] == f"traders-{here.name}" and _epoch(row["last_heartbeat_time"]) > began
        for row in workers
    )


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_session_is_replaced_although_one_of_two_prefect_servers_is_gone(
    floor: Floor, pair: tuple[Host, Host], second_server: "subprocess.Popen[bytes]"
) -> None:
    """The hosts have one address for both servers; the ops process has the one that is left."""
    before = floor.lease(MAKER)
    second_server.kill()
    floor.trader(MAKER).send_signal(signal.SIGKILL)
    floor.until(
        "one Prefect server: a new session holds the lease",
        lambda: (now := floor.lease(MAKER))["live"] and now["token"] > before["token"],
        PATIENCE_S,
    )
    token = floor.lease(MAKER)["token"]
    floor.until("one Prefect server: its first order", lambda: orders(floor, token), PATIENCE_S)
    assert token == before["token"] + 1
    assert_books_agree(floor)


def test_a_frozen_host_that_wakes_up_sends_nothing_more(
    floor: Floor, pair: tuple[Host, Host]
) -> None:
    frozen, other = pair
    asleep = floor.lease(MAKER)["token"]
    stale = floor.trader(MAKER)
    with moving(floor, "host frozen", other):
        frozen.send(signal.SIGSTOP)
    sent = sent_with(floor, asleep)
    frozen.send(signal.SIGCONT)
    floor.until("frozen host: its stale session ended", lambda: not lives(stale), PATIENCE_S)
    assert sent_with(floor, asleep) == sent
    assert floor.lease(MAKER)["token"] == asleep + 1
    assert_books_agree(floor)


def test_a_host_that_is_cut_off_ends_its_sessions_by_itself(
    floor: Floor, pair: tuple[Host, Host]
) -> None:
    cut, other = pair
    alone = floor.lease(MAKER)["token"]
    stale = floor.trader(MAKER)
    with moving(floor, "host cut off", other):
        cut.link.cut()
    sent = sent_with(floor, alone)
    cut.link.mend()
    floor.until("host cut off: its stale session ended", lambda: not lives(stale), PATIENCE_S)
    assert sent_with(floor, alone) == sent
    assert floor.lease(MAKER)["token"] == alone + 1
    assert_books_agree(floor)


def sent_with(floor: Floor, token: int) -> list[Any]:
    return floor.query(
        "SELECT order_id FROM orders WHERE agent = %s AND lease_token = %s ORDER BY order_id",
        MAKER,
        token,
    )


def test_a_host_leaves_and_nothing_is_halted(floor: Floor, pair: tuple[Host, Host]) -> None:
    leaving, other = pair
    with moving(floor, "host leaves", other):
        done = leaving.command("down")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "go on elsewhere" in done.stdout
    assert not [process for process in leaving.processes() if lives(process)]
    assert floor.status()["halt"] == ""


def test_books_equal_the_exchanges_to_the_last_base_unit(floor: Floor) -> None:
    drained = floor.command("drain", "--wait", "60")
    assert drained.returncode == 0, drained.stdout + drained.stderr
    assert_books_agree(floor)
