"""What the supervisor does about runs of a real Prefect server that nobody else puts right.

Part of the program `tests.tasks.inprocess_runs`; the server has no automations and no worker, so
that all that happens is the supervisor's doing.
"""

import os
import subprocess
import sys
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling, Completed, Crashed, Running, State

from flows.supervise import supervise
from models.settings import Settings, load_settings
from store import agents, leases, state
from store.database import Database
from store.leases import Lease
from store.session_halts import session_halt
from store.urls import urls
from tasks import attending, orphans
from tasks.agent_files import find_agent
from tasks.attending import attend, look_around, stand_by
from tasks.deployments import deployment_name, open_runs
from tasks.holders import process_name
from tasks.session_processes import RUN_MARK, look_here
from tasks.supervision import Decision

AGENT = "market-maker-btc-15m"
OTHERS = "a-backtest"


@flow(name="trade")
async def trade() -> None:
    """Stands for the flow of that name; no worker runs it here."""


def dead_process() -> str:
    place, pid, birth = process_name().split(":")
    return f"{place}:{pid}:{int(birth) + 1}"


class Stage:
    """One agent, its deployment, and the supervisor's eyes on both."""

    def __init__(self, client: PrefectClient, database: Database, settings: Settings) -> None:
        self.client = client
        self.database = database
        self.settings = settings
        self.deployments: dict[str, UUID] = {}

    async def deploy(self) -> None:
        flow_id = await self.client.create_flow(trade)
        for name, tags in ((AGENT, ["floor", "trader"]), (OTHERS, ["floor", "research"])):
            self.deployments[name] = await self.client.create_deployment(
                flow_id=flow_id, name=name, tags=tags, entrypoint="flows.trade.trade"
            )
        await agents.sync_agents(self.database, [find_agent(AGENT)])

    async def run(self, state: State[Any] | None = None, of: str = AGENT) -> FlowRun:
        """Begin a run and take it to a state."""
        run = await self.client.create_flow_run_from_deployment(self.deployments[of])
        await self.set(run, Running())
        if state is not None:
            await self.set(run, state)
        return run

    async def set(self, run: FlowRun, state: State[Any]) -> None:
        await self.client.set_flow_run_state(run.id, state, force=True)

    async def state(self, run: FlowRun) -> list[str]:
        found = (await self.client.read_flow_run(run.id)).state
        assert found is not None
        return [found.type.value, found.name or ""]

    async def lease(self, run: FlowRun, holder: str = "") -> Lease:
        lease = await leases.acquire(
            self.database, AGENT, holder or process_name(), 600, str(run.id)
        )
        assert lease is not None
        return lease

    async def attend(self, **changes: Any) -> Decision:
        (agent,) = await agents.agent_overview(self.database)
        around = await look_around(self.database, self.settings)
        settings = self.settings.model_copy(update=changes)
        return await attend(self.database, settings, agent, around)

    async def stand_by(self) -> Decision:
        (agent,) = await agents.agent_overview(self.database)
        around = await look_around(self.database, self.settings)
        return await stand_by(self.database, agent, around, "a test", may_settle=False)

    async def open(self) -> list[FlowRun]:
        return (await open_runs(["trade"]))[deployment_name(AGENT)]


async def falsely_crashed(stage: Stage) -> dict[str, Any]:
    """Its server was away for so long that Prefect took a healthy session for crashed."""
    run = await stage.run()
    lease = await stage.lease(run)
    await stage.set(run, Crashed())
    decision = await stage.attend()
    found = {"step": decision.step, "open": len(await stage.open())}
    await leases.release(stage.database, lease)
    return found


async def cancelled(stage: Stage) -> dict[str, Any]:
    """Somebody cancels a session whose worker does not carry it out."""
    run = await stage.run()
    lease = await stage.lease(run)
    await stage.set(run, Cancelling())
    await stage.attend()
    early = await session_halt(stage.database, str(run.id))
    attending.CANCEL_S = -1.0
    await stage.attend()
    asked = await session_halt(stage.database, str(run.id))
    before = await stage.state(run)
    await leases.release(stage.database, lease)
    await stage.stand_by()
    return {"early": early, "asked": asked, "before": before, "after": await stage.state(run)}


async def killed_with_its_worker(stage: Stage) -> dict[str, Any]:
    """Its process is gone, and so is the worker that would have said so."""
    run = await stage.run()
    lease = await stage.lease(run, dead_process())
    first = await stage.attend()
    state, (started,) = await stage.state(run), await stage.open()
    second = await stage.attend()
    found = {
        "automations": len(await stage.client.read_automations()),
        "state": state,
        "steps": [first.step, second.step],
        "reasons": [first.reason, second.reason],
        "name": started.name,
        "tags": sorted(started.tags),
        "open": len(await stage.open()),
    }
    await stage.set(started, Completed())
    await leases.expire(stage.database, AGENT, lease.token)
    return found


async def crashing_before_it_trades(stage: Stage) -> dict[str, Any]:
    """Run after run dies before it can take the lease: nobody counts that but the supervisor."""
    steps = []
    for _ in range(3):
        for started in await stage.open():
            await stage.set(started, Completed())
        steps.append((await stage.attend(max_restarts_per_hour=3)).step)
        await stage.run(Crashed())
    paused = await stage.attend(max_restarts_per_hour=3)
    again = await stage.attend(max_restarts_per_hour=3)
    (agent,) = await agents.agent_overview(stage.database)
    await agents.resume(stage.database, AGENT)
    return {
        "steps": [*steps, paused.step, again.step],
        "status": agent.status,
        "reason": agent.reason,
    }


def process_of(run: FlowRun) -> "subprocess.Popen[bytes]":
    """A process with the marks of one that carries out this run."""
    return subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        env=os.environ | {RUN_MARK: str(run.id)},
    )


async def outliving_its_run(stage: Stage) -> dict[str, Any]:
    """Processes that go on although their run is over, and others that may."""
    orphans.ORPHAN_S = -1.0
    over, research = await stage.run(Crashed()), await stage.run(Crashed(), OTHERS)
    running = await stage.run()
    holding = await stage.run(Crashed())
    runs = {"over": over, "research": research, "running": running, "holding": holding}
    processes = {name: process_of(run) for name, run in runs.items()}
    lives = {}
    here = look_here(stage.settings.floor_home).sessions
    told = await orphans.end_orphans(here.values(), {str(holding.id)})
    for name, process in processes.items():
        if name == "over":
            process.wait(60)
        lives[name] = process.poll() is None
        process.kill()
        process.wait()
    return {"found": len(here), "lives": lives, "told": len(told)}


async def while_halted(stage: Stage) -> dict[str, Any]:
    """The flow itself: halted it starts nothing, and still keeps the books of what all is worth."""
    for open_run in await stage.open():
        await stage.set(open_run, Completed())
    await stage.database.execute("DELETE FROM portfolio_snapshots")
    await state.set_halt(stage.database, "a drill")
    told = await supervise()
    saved = await stage.database.fetch("SELECT * FROM portfolio_snapshots")
    return {"told": told, "open": len(await stage.open()), "saved": len(saved)}


async def supervise_runs(client: PrefectClient) -> dict[str, Any]:
    settings = load_settings()
    async with Database(urls(settings).database, max_size=2) as database:
        stage = Stage(client, database, settings)
        await stage.deploy()
        return {
            scene.__name__: await scene(stage)
            for scene in (
                falsely_crashed,
                cancelled,
                killed_with_its_worker,
                crashing_before_it_trades,
                outliving_its_run,
                while_halted,
            )
        }
