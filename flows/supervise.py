"""Supervise: the floor boss. Compares the agents that should trade with those that do."""

import structlog
from prefect import flow
from prefect.runtime import flow_run

from models.settings import Settings, load_settings
from store import agents, leases, risk
from store.agents import AgentOverview
from store.database import Database
from store.session_halts import forget_session_halts
from store.urls import urls
from tasks.agent_files import read_agents
from tasks.attending import Around, attend, look_around, stand_by
from tasks.collecting import keep_collecting
from tasks.guards import halt_reason
from tasks.orphans import end_orphans
from tasks.supervision import Decision, Step
from tasks.valuation import save_snapshots

log = structlog.get_logger(__name__)


def run_name() -> str:
    """Keep the name a run was started with where that says why; the schedule's has none."""
    given = str(flow_run.name or "")
    return given if given.startswith("supervise") else "supervise"


@flow(name="supervise", flow_run_name=run_name, timeout_seconds=55)
async def supervise() -> str:
    """Start what should run and does not, pause what keeps failing, note what all is worth."""
    settings = load_settings()
    async with Database(urls(settings).database, max_size=2) as database:
        halted = await halt_reason(database)
        specs, faults = read_agents()
        # A file that can't be read now is no reason to disable its agent.
        await agents.sync_agents(database, list(specs.values()), disable_missing=not faults)
        around = await look_around(database, settings)
        decisions = [
            await _attend(database, settings, agent, around, halted, has_file=agent.name in specs)
            for agent in await agents.agent_overview(database)
        ]
        collecting = [] if halted else await keep_collecting(database, around)
        ended = await end_orphans(around.here.sessions.values(), await _trading(database))
        # Nothing trades while the floor is halted, but windows go on being settled.
        await save_snapshots(database)
        await forget_session_halts(database)
    acted = [f"{d.agent}: {d.step} ({d.reason})" for d in decisions if d.step is not Step.NONE]
    told = "; ".join([*faults, *acted, *collecting, *ended])
    return halted or told or f"{len(decisions)} agents as desired"


async def _attend(
    database: Database,
    settings: Settings,
    agent: AgentOverview,
    around: Around,
    halted: str = "",
    *,
    has_file: bool,
) -> Decision:
    """Look after one agent; trouble with it must not keep the others waiting."""
    try:
        reason = halted or await risk.stop_reason(database, agent.name)
        if not has_file and not agent.lease_live:
            reason = reason or "its file is wrong or gone"
        if not agent.desired:
            reason = reason or agent.reason or "it is not to trade"
        if reason:
            may_settle = has_file and not halted
            return await stand_by(database, agent, around, reason, may_settle=may_settle)
        return await attend(database, settings, agent, around)
    except Exception as error:
        log.error("agent_not_attended", agent=agent.name, reason=repr(error))
        return Decision(agent.name, Step.FAILED, str(error))


async def _trading(database: Database) -> set[str]:
    """Return the flow runs that hold a live lease."""
    return {lease.flow_run_id for lease in await leases.all(database) if lease.live}
