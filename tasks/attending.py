"""Looking after one agent: its runs are put right, and what is missing is started."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from prefect.client.schemas.objects import FlowRun
from prefect.types._datetime import now

from models.settings import Settings
from store import agents, leases, state
from store.agents import AgentOverview
from store.database import Database
from store.events import record_event
from store.leases import LeaseStatus
from store.session_halts import halt_session
from tasks.alerts import Alerts
from tasks.deployments import (
    crashed_since,
    deployment_name,
    open_runs,
    settle_cancelled,
    settle_gone,
    start_run,
)
from tasks.floor_watch import BACK
from tasks.holders import is_dead, kill_process
from tasks.run_events import SessionEvent, tell_event
from tasks.session_processes import Here, look_here
from tasks.session_settling import unsettled_ended
from tasks.signs import SETTLE_S
from tasks.standing import (
    CANCEL_HALT_S,
    CANCEL_S,
    STARTUP_S,
    Holder,
    Standing,
    standing,
)
from tasks.supervision import Decision, Step, decide

log = structlog.get_logger(__name__)

FLOWS = ("trade", "collect")
"""Flows whose runs go on for ever and are put right here."""
HOUR_S = 3600.0
SLOT_S = 60
"""The same cause starts no second run within this."""
SETTLE_SLOT_S = 300
"""A window the venue has not resolved yet is asked about again this often."""


@dataclass(frozen=True, slots=True)
class Around:
    """What one look at the floor found that concerns every agent."""

    runs: Mapping[str, list[FlowRun]]
    """Runs that are not finished, by the deployments there are."""
    here: Here
    """What runs on this host."""
    worker: str
    """Name of this host's worker."""
    unsure: bool
    """Whether Postgres is only just back."""


async def look_around(database: Database, settings: Settings) -> Around:
    """Note what concerns every agent."""
    back_ns = await state.get(database, BACK)
    unsure = back_ns is not None and abs(time.time_ns() - back_ns) < SETTLE_S * 1e9
    runs = await open_runs(FLOWS)
    return Around(runs, look_here(settings.floor_home), settings.worker_name, unsure)


async def attend(
    database: Database, settings: Settings, agent: AgentOverview, around: Around
) -> Decision:
    """Put the agent's runs right, then start or pause it where that is due."""
    lease = await leases.holder(database, agent.name)
    runs = around.runs.get(deployment_name(agent.name))
    if runs is None:
        reason = "is not deployed; `floor up` or `prefect --no-prompt deploy --all` deploys it"
        return Decision(agent.name, Step.FAILED if agent.desired else Step.NONE, reason)
    holder = holder_of(lease)
    stands = await put_right(database, runs, holder, around)
    crashes = await _crashes(agent, lease, holder)
    decision = decide(
        agent,
        coming=stands.count(Standing.COMING),
        max_restarts=settings.max_restarts_per_hour,
        dead=holder.dead,
        crashes=crashes,
        unsure=around.unsure,
    )
    if decision.step is Step.START:
        await _start(database, decision, lease, crashes)
    elif decision.step is Step.PAUSE:
        await _pause(database, settings, decision)
    return decision


async def stand_by(
    database: Database, agent: AgentOverview, around: Around, reason: str, *, may_settle: bool
) -> Decision:
    """Put the runs of an agent right that must not trade, and have its last windows settled."""
    lease = await leases.holder(database, agent.name)
    runs = around.runs.get(deployment_name(agent.name))
    if runs is None:
        return Decision(agent.name, Step.NONE, reason)
    stands = await put_right(database, runs, holder_of(lease), around)
    busy = agent.lease_live or Standing.COMING in stands
    if busy or not may_settle or not (left := await unsettled_ended(database, agent.name)):
        return Decision(agent.name, Step.NONE, reason)
    why = f"{len(left)} windows are left to settle"
    key = f"{agent.name}-settle-{int(time.time() // SETTLE_SLOT_S)}"
    await start_run(
        deployment_name(agent.name), key, name=f"{agent.name} settle: {why}", tags=["settle"]
    )
    return Decision(agent.name, Step.SETTLE, why)


def holder_of(lease: LeaseStatus | None) -> Holder:
    """Say which run holds the lease, or gave it back so lately that it may still be ending."""
    if lease is None:
        return Holder()
    age_s = lease.heartbeat_age_s
    lately = lease.live or (age_s is not None and age_s < STARTUP_S)
    return Holder(
        run_id=lease.flow_run_id if lately else "",
        dead=is_dead(lease.holder),
        live=lease.live,
        successor=lease.successor if lease.live else "",
    )


async def put_right(
    database: Database,
    runs: list[FlowRun],
    holder: Holder,
    around: Around,
    startup_s: float = STARTUP_S,
) -> list[Standing]:
    """Correct what Prefect believes of these runs; returns where each of them stands."""
    at = now("UTC")
    stands = [standing(run, holder, around.here, around.worker, at, startup_s) for run in runs]
    gone = [run for run, stand in zip(runs, stands, strict=True) if stand is Standing.GONE]
    stray = [run for run, stand in zip(runs, stands, strict=True) if stand is Standing.STRAY]
    for run in stray:
        end_process_of(run, around, "it holds no lease")
    if gone or stray:
        await settle_gone([*gone, *stray], "Its process is gone, or holds no lease of its agent.")
    cancelled = []
    for run, stand in zip(runs, stands, strict=True):
        if stand is Standing.CANCELLING and await _carry_out(database, run, holder, around):
            cancelled.append(run)
    if cancelled:
        await settle_cancelled(cancelled)
    return stands


def end_process_of(run: FlowRun, around: Around, why: str) -> bool:
    """End the process of a run, where it is one of this host."""
    process = around.here.sessions.get(str(run.id))
    if process is None or not kill_process(process.pid, process.birth):
        return False
    log.warning("session_ended", run=str(run.id), name=run.name, pid=process.pid, reason=why)
    return True


async def _carry_out(database: Database, run: FlowRun, holder: Holder, around: Around) -> bool:
    """Carry out a cancellation that Prefect's worker does not; True once nothing is left of it."""
    run_id = str(run.id)
    assert run.state is not None
    age_s = (now("UTC") - run.state.timestamp).total_seconds()
    if age_s < CANCEL_S:
        return False
    holds = run_id == holder.run_id and holder.live and not holder.dead
    if not holds and run_id not in around.here.sessions:
        return True
    if await halt_session(database, run_id, "its run was cancelled in Prefect"):
        log.info("cancelled_session_halted", run=run_id, name=run.name)
    if age_s >= CANCEL_HALT_S:
        end_process_of(run, around, "cancelled, and did not end")
    return False


async def _crashes(agent: AgentOverview, lease: LeaseStatus | None, holder: Holder) -> int:
    """Count the runs that crashed since anybody held the lease: nobody else has counted them."""
    if not agent.desired or (agent.lease_live and not holder.dead):
        return 0
    age_s = HOUR_S
    if lease is not None and lease.heartbeat_age_s is not None:
        age_s = min(HOUR_S, lease.heartbeat_age_s)
    since = now("UTC") - timedelta(seconds=age_s)
    crashed = await crashed_since(deployment_name(agent.name), since)
    return sum(str(run.id) != holder.run_id for run in crashed)


async def _start(
    database: Database, decision: Decision, lease: LeaseStatus | None, crashes: int
) -> None:
    # One key per lease generation, crash and slot: a slow answer can't start two.
    agent, token = decision.agent, lease.token if lease is not None else 0
    key = f"{agent}-{token}-{crashes}-{int(time.time() // SLOT_S)}"
    word = "start" if decision.reason == "it is not running" else "restart"
    name = f"{agent} {word}: {decision.reason}"
    run_id = await start_run(deployment_name(agent), key, name=name, tags=[word])
    detail = {"reason": decision.reason, "run": run_id, "token": token}
    await record_event(database, "agent_start", detail, agent)
    log.info("agent_started", agent=agent, reason=decision.reason, run=run_id)


async def _pause(database: Database, settings: Settings, decision: Decision) -> None:
    """Pause the agent; people hear of it from whoever was first to do so."""
    agent, reason = decision.agent, decision.reason
    if not await agents.pause(database, agent, reason):
        return
    tell_event(SessionEvent.PAUSED, agent, reason=reason)
    async with Alerts(settings) as alerts:
        alerts.post("breaker", f"{agent} is paused: {reason}", agent=agent)
