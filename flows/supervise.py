"""Supervise: the floor boss. Compares the agents that should trade with those that do."""

import time

import structlog
from prefect import flow

from models.settings import Settings, load_settings
from store import agents, leases, risk
from store.agents import AgentOverview
from store.database import Database
from store.events import record_event
from store.urls import urls
from tasks.agent_files import read_agents
from tasks.alerts import Alerts
from tasks.collecting import keep_collecting
from tasks.deployments import deployment_name, end_stale_runs, on_their_way, open_runs
from tasks.guards import halt_reason
from tasks.handover import start_run
from tasks.supervision import STARTUP_S, Decision, Step, decide
from tasks.valuation import save_snapshots

log = structlog.get_logger(__name__)


@flow(name="supervise", flow_run_name="supervise", timeout_seconds=25)
async def supervise() -> str:
    """Start what should run and does not, pause what keeps failing, note what all is worth."""
    settings = load_settings()
    async with Database(urls(settings).database, max_size=2) as database:
        if reason := await halt_reason(database):
            return reason
        specs, faults = read_agents()
        # A file that can't be read now is no reason to disable its agent.
        await agents.sync_agents(database, list(specs.values()), disable_missing=not faults)
        decisions = [
            await _attend(database, settings, agent, has_file=agent.name in specs)
            for agent in await agents.agent_overview(database)
        ]
        collecting = await keep_collecting(database)
        await save_snapshots(database)
    acted = [f"{d.agent}: {d.step} ({d.reason})" for d in decisions if d.step is not Step.NONE]
    return "; ".join([*faults, *acted, *collecting]) or f"{len(decisions)} agents as desired"


async def _attend(
    database: Database, settings: Settings, agent: AgentOverview, has_file: bool
) -> Decision:
    """Look after one agent; trouble with it must not keep the others waiting."""
    try:
        if not has_file and not agent.lease_live:
            return Decision(agent.name, Step.NONE, "its file is wrong or gone")
        if reason := await risk.stop_reason(database, agent.name):
            return Decision(agent.name, Step.NONE, reason)
        return await _keep_running(database, settings, agent)
    except Exception as error:
        log.error("agent_not_attended", agent=agent.name, reason=repr(error))
        return Decision(agent.name, Step.FAILED, str(error))


async def _keep_running(database: Database, settings: Settings, agent: AgentOverview) -> Decision:
    lease = await leases.holder(database, agent.name)
    runs = await open_runs(deployment_name(agent.name))
    if runs is None:
        reason = "is not deployed; `floor up` or `prefect --no-prompt deploy --all` deploys it"
        return Decision(agent.name, Step.FAILED if agent.desired else Step.NONE, reason)
    lease_run = _run_of(lease)
    coming = on_their_way(runs, lease_run)
    await end_stale_runs(runs, lease_run)
    decision = decide(
        agent, runs_on_their_way=len(coming), max_restarts=settings.max_restarts_per_hour
    )
    if decision.step is Step.START:
        # One key per lease generation and slot: a slow answer can't start two.
        token = lease.token if lease is not None else 0
        slot = int(time.time() // 60)
        await start_run(deployment_name(agent.name), f"{agent.name}-{token}-{slot}")
        await record_event(database, "agent_start", {"reason": decision.reason}, agent.name)
    elif decision.step is Step.PAUSE:
        await agents.pause(database, agent.name, decision.reason)
        await _tell(settings, agent.name, decision.reason)
    return decision


def _run_of(lease: leases.LeaseStatus | None) -> str:
    """Return the run that holds the lease, or gave it back so lately that it may still be ending.

    Such a run is neither stale nor one that is still to come.
    """
    if lease is None:
        return ""
    age_s = lease.heartbeat_age_s
    return lease.flow_run_id if lease.live or (age_s is not None and age_s < STARTUP_S) else ""


async def _tell(settings: Settings, agent: str, reason: str) -> None:
    async with Alerts(settings) as alerts:
        alerts.post("breaker", f"{agent} is paused: {reason}", agent=agent)
