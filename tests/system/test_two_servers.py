"""Two Prefect servers on one Postgres and one Redis: what they share, and that either may go."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import Event, Resource

from console.environment import child_environment
from console.steps import migrate_prefect
from models.settings import ROOT, Settings
from store.urls import Urls
from tests.system.harness import free_ports
from tests.system.link import Link

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
PATIENCE_S = 180.0
LOGIN = "floor:a-word-of-the-tests"


class Servers:
    """Two servers, and the one address both are reached by."""

    def __init__(self, home: Path, urls: Urls) -> None:
        self.ports = free_ports(2)
        self.settings = [
            Settings(
                _env_file=None,  # type: ignore[call-arg]
                floor_home=home / str(port),
                database_url=urls.database,
                redis_url=urls.redis,
                prefect_port=port,
                prefect_shared=True,
                prefect_auth=LOGIN,
            )
            for port in self.ports
        ]
        self.processes: list[subprocess.Popen[bytes]] = []
        self.url = ""

    def start(self) -> None:
        for settings in self.settings:
            (settings.floor_home / "prefect").mkdir(parents=True)
        migrate_prefect(self.settings[0])
        for settings in self.settings:
            command = [sys.executable, "-m", "prefect", "server", "start"]
            command += ["--host", "127.0.0.1", "--port", str(settings.prefect_port)]
            with (settings.floor_home / "log").open("wb") as log:
                self.processes.append(
                    subprocess.Popen(
                        command,
                        cwd=ROOT,
                        env=child_environment(settings, server=True),
                        stdout=log,
                        stderr=log,
                    )
                )
        for number, port in enumerate(self.ports):
            eventually("both serve", lambda port=port: ready(port), self.log(number))

    def log(self, number: int) -> Path:
        return self.settings[number].floor_home / "log"

    def client(self, number: int | None = None) -> PrefectClient:
        """A client of one server, or of whichever answers at their common address."""
        url = self.url if number is None else f"http://127.0.0.1:{self.ports[number]}/api"
        return PrefectClient(url, auth_string=LOGIN)


def ready(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/api/ready"
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def eventually(what: str, is_so: Callable[[], Any], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {PATIENCE_S} s\n{log.read_text()[-3000:]}")
        time.sleep(0.2)


@pytest.fixture(scope="module")
def servers(
    postgres_server: Urls, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    both = Servers(tmp_path_factory.mktemp("servers"), postgres_server)
    with ExitStack() as stack:
        link = stack.enter_context(Link(None, {both.ports[0]: both.ports}))
        both.url = f"http://127.0.0.1:{link.outer[both.ports[0]]}/api"
        try:
            both.start()
            yield both
        finally:
            for process in both.processes:
                process.send_signal(signal.SIGTERM)
            for process in both.processes:
                process.wait(30)


@pytest.fixture
async def deployment(servers: Servers) -> AsyncIterator[UUID]:
    """A deployment nobody works for: its runs stay where they were made, to be counted."""
    flow_id = (await post(servers, "/flows/", {"name": "counted"})).json()["id"]
    async with servers.client() as client:
        made = await client.create_deployment(UUID(flow_id), name=f"counted-{uuid4()}")
        yield made
        await client.delete_deployment(made)


async def post(
    servers: Servers, path: str, body: object, number: int | None = None
) -> httpx.Response:
    """Ask one server, or whichever answers, without the second tries of Prefect's client."""
    url = servers.url if number is None else f"http://127.0.0.1:{servers.ports[number]}/api"
    user, _, word = LOGIN.partition(":")
    async with httpx.AsyncClient(auth=(user, word), trust_env=False, timeout=30) as client:
        return await client.post(f"{url}{path}", json=body)


async def runs(servers: Servers, deployment: UUID) -> list[dict[str, Any]]:
    question = {"deployments": {"id": {"any_": [str(deployment)]}}, "limit": 200}
    found: list[dict[str, Any]] = (await post(servers, "/flow_runs/filter", question)).json()
    return found


async def until(what: str, is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await is_so():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S} s"
        await asyncio.sleep(0.3)


def test_nobody_drives_the_servers_without_the_password(servers: Servers) -> None:
    user, _, word = LOGIN.partition(":")
    for port in servers.ports:
        url = f"http://127.0.0.1:{port}/api/deployments/filter"
        assert httpx.post(url, json={}, trust_env=False).status_code == 401
        assert httpx.post(url, json={}, auth=(user, word), trust_env=False).is_success


async def test_an_event_told_to_either_server_fires_an_automation_once(
    servers: Servers, deployment: UUID
) -> None:
    ping = f"floor.test.{uuid4()}"
    automation = AutomationCore(
        name=ping,
        trigger=EventTrigger(
            expect={ping},
            posture=Posture.Reactive,
            threshold=1,
            for_each=["prefect.resource.id"],
        ),
        actions=[
            RunDeployment(deployment_id=deployment, parameters={"of": "{{ event.resource.id }}"})
        ],
    )
    async with servers.client(0) as client:
        made = await client.create_automation(automation)

    async def fired(names: set[str]) -> bool:
        found = [run["parameters"]["of"] for run in await runs(servers, deployment)]
        assert len(found) == len(set(found)), "an event fired twice"
        return names <= set(found)

    # A server hears of a new automation in its own time; what it was told before that is no event
    # of the automation's. So they are told again, by new names, until all are taken up.
    deadline = time.monotonic() + PATIENCE_S
    for batch in range(1_000):
        names = {f"{number}.of.{batch}" for number in range(6)}
        for number, name in enumerate(sorted(names)):
            resource = Resource({"prefect.resource.id": name})
            told = Event(event=ping, resource=resource).model_dump(mode="json")
            assert (await post(servers, "/events", [told], number % 2)).is_success
        patience = time.monotonic() + 15.0
        while not (done := await fired(names)) and time.monotonic() < patience:
            await asyncio.sleep(0.3)
        if done:
            break
        assert time.monotonic() < deadline, f"events of {names} fired nothing"
    await asyncio.sleep(2.0)
    assert await fired(names)
    async with servers.client(1) as client:
        await client.delete_automation(made)


async def test_a_client_outlives_one_of_the_servers_and_nothing_is_done_twice(
    servers: Servers, deployment: UUID
) -> None:
    """Last of all: it ends one server, and what that one had promised holds at the other."""
    limits = "/v2/concurrency_limits"
    limit = f"limit-{uuid4()}"
    assert (await post(servers, f"{limits}/", {"name": limit, "limit": 1}, 0)).is_success
    slot = {"names": [limit], "slots": 1, "lease_duration": 60}
    lease = (await post(servers, f"{limits}/increment-with-lease", slot, 0)).json()["lease_id"]

    async with servers.client() as client:
        often = IntervalSchedule(interval=timedelta(seconds=5))
        await client.create_deployment_schedules(deployment, [(often, True)])
        for number in range(30):
            if number == 10:
                servers.processes[0].kill()
            await client.create_flow_run_from_deployment(
                deployment, idempotency_key=f"own-{number}"
            )
    assert not ready(servers.ports[0]) and ready(servers.ports[1])
    found = await runs(servers, deployment)
    own = [run for run in found if (run["idempotency_key"] or "").startswith("own-")]
    assert len(own) == len({run["idempotency_key"] for run in own}) == 30

    renewal = await post(servers, f"{limits}/leases/{lease}/renew", {"lease_duration": 60})
    assert renewal.is_success
    again = await post(servers, f"{limits}/increment-with-lease", slot)
    assert again.status_code == httpx.codes.LOCKED, "the slot is still taken"

    async def scheduled() -> bool:
        found = await runs(servers, deployment)
        times = [run["expected_start_time"] for run in found if run["auto_scheduled"]]
        assert len(times) == len(set(times)), "no time is scheduled twice"
        return bool(times)

    await until("the server that is left schedules", scheduled)
