"""Deploys to a real Prefect server, lets automations fire, and prints what was seen, as JSON.

A program of its own, because Prefect reads its settings once, when it is imported.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.events import emit_event
from prefect.events.schemas.automations import AutomationCore
from prefect.states import Completed, Crashed, Running

from console.deploy import deploy_everything
from flows.traders import TradersWorker
from models.settings import Settings, load_settings
from store.database import Database
from store.urls import urls
from tasks.agent_files import find_agent
from tasks.automation_files import Entry, read_entries
from tasks.automations import AUTOMATIONS_FILE, OURS, apply_automations
from tasks.run_events import SessionEvent, session_run_name, tag_run, tell_event
from tasks.session_page import keep_session_page

AGENT = "market-maker-btc-15m"
SHORT_S = 10
"""The shortest silence Prefect lets an automation look for."""
AGAIN_S = 30.0
PATIENCE_S = 300.0


async def until(
    what: str,
    look: Callable[[], Awaitable[Any]],
    again: Callable[[], Awaitable[None]] | None = None,
) -> Any:
    """Ask until the answer is true; return it.

    A server that loads its automations anew loses an event that arrives at that moment, so
    `again` does once more, now and then, what should have led to the answer.
    """
    deadline = time.monotonic() + PATIENCE_S
    patience = time.monotonic() + AGAIN_S
    while time.monotonic() < deadline:
        if answer := await look():
            return answer
        await asyncio.sleep(0.3)
        if again is not None and time.monotonic() > patience:
            await again()
            patience = time.monotonic() + AGAIN_S
    raise AssertionError(f"{what}: not within {PATIENCE_S} s")


NEW_EACH_TIME = {"id", "created", "updated", "last_polled", "status", "version_id", "labels"}
"""What the server gives to everything that is deployed."""


def lasting(value: Any) -> Any:
    """Drop what is new with every deploy, in any depth."""
    if isinstance(value, dict):
        return {key: lasting(each) for key, each in value.items() if key not in NEW_EACH_TIME}
    return [lasting(each) for each in value] if isinstance(value, list) else value


async def snapshot(client: PrefectClient) -> dict[str, Any]:
    """Everything a deploy leaves behind, automations known by name instead of by id."""
    deployments = await client.read_deployments()
    automations = await client.read_automations(limit=200)
    kept = {
        "deployments": {each.name: each.model_dump(mode="json") for each in deployments},
        "automations": [
            each.model_dump(mode="json") for each in sorted(automations, key=lambda one: one.name)
        ],
    }
    text = json.dumps(lasting(kept), sort_keys=True)
    for automation in automations:
        text = text.replace(str(automation.id), automation.name)
    seen: dict[str, Any] = json.loads(text)
    return seen


def shortened(entries: list[Entry], *names: str) -> list[Entry]:
    """The file's entries, with the silence shortened that those named look for."""
    return [
        Entry(
            each.file,
            each.place,
            {**each.raw, "trigger": {**each.raw["trigger"], "within": SHORT_S}}
            if each.raw["name"] in names
            else each.raw,
        )
        for each in entries
    ]


class Floor:
    """Makes runs as the floor does."""

    def __init__(self, client: PrefectClient) -> None:
        self.client = client

    async def running(self, deployment: str) -> UUID:
        found = await self.client.read_deployment_by_name(deployment)
        run = await self.client.create_flow_run_from_deployment(found.id)
        await self.client.set_flow_run_state(run.id, Running(), force=True)
        return run.id

    async def crash(self, agent: str) -> None:
        run = await self.running(f"trade/{agent}")
        await self.client.set_flow_run_state(run, Crashed(message="it broke"), force=True)

    async def beat(self, run_id: UUID) -> None:
        """Say what a run's heartbeat says."""
        run = await self.client.read_flow_run(run_id)
        emit_event(
            event="prefect.flow-run.heartbeat",
            resource={"prefect.resource.id": f"prefect.flow-run.{run_id}"},
            related=[
                {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}
                for tag in run.tags
            ],
        )

    async def state(self, run_id: UUID) -> tuple[str, str]:
        state = (await self.client.read_flow_run(run_id)).state
        return (state.name or "", state.message or "") if state is not None else ("", "")

    async def enabled(self, automation: str) -> bool:
        (found,) = await self.client.read_automations_by_name(automation)
        return found.enabled

    async def waiting(self, deployment: str) -> int:
        runs = await self.client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
            ),
        )
        return len(runs)


@asynccontextmanager
async def webhook(port: int, heard: list[str]):  # type: ignore[no-untyped-def]
    """Hear what is posted to a webhook."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length")
        )
        heard.append(json.loads(await reader.readexactly(length))["text"])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", port)
    async with server:
        yield


async def fire(client: PrefectClient, seen: dict[str, Any]) -> None:
    """Let what watches over runs fire, and what must not fire not fire."""
    floor, trigger = Floor(client), f"restart-{AGENT}"
    silent, ended = [await floor.running("backtest/backtest") for _ in range(2)]
    for run in silent, ended:
        await floor.beat(run)
    # A session ends in a state with a name of its own; its last heartbeat may come after it.
    await client.set_flow_run_state(ended, Completed(name="NotTrading"), force=True)
    seen["restarts_before"] = await floor.waiting(AGENT)
    seen["crashes"] = 0

    async def paused() -> bool:
        """Crash once more, and look."""
        await floor.crash(AGENT)
        seen["crashes"] += 1
        return not await floor.enabled(trigger)

    async def crashed() -> bool:
        return (await floor.state(silent))[0] == "NoHeartbeat"

    async def resumed() -> bool:
        return await floor.enabled(trigger)

    async def refused() -> bool:
        """The automation wanted to mark the run that had ended, and the server did not let it."""
        return bool(await acted(client, "prefect.automation.action.failed", ended))

    await until("the restart trigger is paused", paused)
    await floor.beat(ended)
    seen["restarts"] = await until("the fast path starts runs", lambda: floor.waiting(AGENT))
    seen["others"] = await floor.enabled("restart-collect")
    await until("the silent run is marked", crashed, lambda: floor.beat(silent))
    await until("the ended run is let alone", refused, lambda: floor.beat(ended))
    await until("the restart trigger is resumed", resumed, lambda: floor.crash(AGENT))
    seen["silent"], seen["ended"] = await floor.state(silent), await floor.state(ended)


async def acted(client: PrefectClient, event: str, run: UUID) -> list[dict[str, Any]]:
    """Return the events of automations' actions on a run."""
    wanted = {"event": {"name": [event]}}
    answer = await client._client.post("/events/filter", json={"filter": wanted, "limit": 50})
    return [each for each in answer.json()["events"] if str(run) in json.dumps(each)]


async def change(settings: Settings, client: PrefectClient, seen: dict[str, Any]) -> None:
    """Apply files that differ, and find things of others left alone."""
    entries = read_entries(AUTOMATIONS_FILE)
    (one,) = await client.read_automations_by_name("floor-ops-failing")
    core = AutomationCore.model_validate(one.model_dump(exclude={"id"}))
    foreign = await client.create_automation(core.model_copy(update={"name": "mine", "tags": []}))
    # Applied by two hosts at the same time, it would be there twice.
    await client.create_automation(core)
    await client.pause_automation(one.id)
    mended = await apply_automations(settings, entries)
    seen["mended"] = [mended.created, mended.updated, mended.removed]
    seen["left"] = [each.enabled for each in await client.read_automations_by_name(one.name)]
    fewer = await apply_automations(settings, entries[1:])
    seen["fewer"] = [fewer.created, fewer.updated, fewer.removed]
    seen["foreign"] = await client.read_automation(foreign) is not None
    mute = settings.model_copy(update={"slack_webhook_url": None})
    muted = await apply_automations(mute, entries)
    seen["muted"] = [muted.created, sorted(muted.updated), muted.removed]
    (told,) = await client.read_automations_by_name("floor-supervise-silent")
    seen["mute_actions"] = [each.type for each in told.actions]
    seen["blocks"] = [each.name for each in await client.read_block_documents()]


@flow(name="trade", flow_run_name=session_run_name)
async def session(agent: str) -> None:
    """Show what a session shows."""
    spec, settings = find_agent(agent), load_settings()
    await tag_run(spec, settings.trading_mode)
    tell_event(SessionEvent.STARTED, agent, window="btc-0", reason="new")
    async with Database(urls(settings).database, max_size=1) as database:
        await keep_session_page(database, spec, settings.trading_mode, 1, "session over")


async def pages(client: PrefectClient, seen: dict[str, Any]) -> None:
    """Run a session and look at what the UI has of it."""
    await session(AGENT)
    (run,) = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[f"agent:{AGENT}", "mode:sim"]))
    )
    seen["run"] = [run.name, sorted(run.tags)]
    artifacts = await client.read_artifacts()
    seen["page"] = [[one.key, one.description, one.data] for one in artifacts]


async def nowhere(client: PrefectClient, seen: dict[str, Any]) -> None:
    """Start a run whose flow is nowhere to be found, and see whether its worker goes on."""
    template = TradersWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name="nowhere", type="process", base_job_template=template)
    await client.create_work_pool(pool)
    deployment = await client.create_deployment(
        flow_id=await client.create_flow(session),
        name="nowhere",
        entrypoint="flows.nowhere.session",
        work_pool_name=pool.name,
        job_variables={"command": "python -m prefect.engine"},
    )
    run = await client.create_flow_run_from_deployment(deployment)

    async def ended() -> str:
        await worker.get_and_submit_flow_runs()
        state = (await client.read_flow_run(run.id)).state
        return state.type.value if state is not None and state.is_final() else ""

    async with TradersWorker(work_pool_name=pool.name, name="nowhere") as worker:
        seen["nowhere"] = await until("the run without a flow ends", ended)
        await worker.get_and_submit_flow_runs()


async def events(client: PrefectClient, seen: dict[str, Any]) -> None:
    """Tell an event of a session and find it in the server."""
    told = tell_event(SessionEvent.PAUSED, AGENT, window="btc-1", reason="ten restarts", count=10)
    seen["told"] = told

    async def found() -> list[dict[str, Any]]:
        answer = await client._client.post(
            "/events/filter", json={"filter": {"event": {"name": ["floor.session.paused"]}}}
        )
        return list(answer.json()["events"])

    (event,) = await until("the event arrives", found)
    seen["event"] = [event["resource"], event["payload"]]


async def use(settings: Settings, heard: list[str]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    async with get_client() as client:
        again = await apply_automations(settings)
        seen["again"] = again.changes
        seen["ours"] = sorted(each.name for each in await client.read_automations(limit=200)
                              if OURS in each.tags)  # fmt: skip
        quick = shortened(
            read_entries(AUTOMATIONS_FILE),
            "floor-run-without-heartbeat",
            "floor-crash-loop-over-$deployment",
        )
        seen["quick"] = sorted((await apply_automations(settings, quick)).updated)
        await fire(client, seen)
        await events(client, seen)
        await pages(client, seen)
        await nowhere(client, seen)

        async def told() -> list[str]:
            return [line for line in heard if "crashes again" in line]

        seen["notices"] = await until("the notice arrives", told)
        seen["scheduled"] = {
            name: await until(name, lambda name=name: Floor(client).waiting(name))
            for name in ("supervise", "reconcile")
        }
        await change(settings, client, seen)
    return seen


async def look() -> dict[str, Any]:
    async with get_client() as client:
        return await snapshot(client)


async def main(settings: Settings, snapshots: list[dict[str, Any]]) -> None:
    assert settings.slack_webhook_url is not None
    port = int(settings.slack_webhook_url.get_secret_value().rpartition(":")[2].partition("/")[0])
    heard: list[str] = []
    async with webhook(port, heard):
        seen = await use(settings, heard)
    seen["same"] = snapshots[0] == snapshots[1]
    seen["deployments"] = sorted(snapshots[0]["deployments"])
    print(json.dumps(seen))


if __name__ == "__main__":
    ours = load_settings()
    taken = []
    for _ in range(2):
        deploy_everything(ours)
        taken.append(asyncio.run(look()))
    asyncio.run(main(ours, taken))
