"""Trade: one session of one agent, from recovery to hand-over."""

import asyncio
import signal
import time
from pathlib import Path

import structlog
from prefect import flow, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.states import Completed

from models.agents import AgentSpec
from models.journal import WindowResult
from models.markets import Market
from models.settings import Settings, load_settings
from models.units import usd
from store.database import Database
from store.urls import urls
from tasks.handover import successor_of_this_run
from tasks.logs import configure_logs
from tasks.run_events import SessionEvent, session_run_name, tag_run, tell_event
from tasks.session import TradingSession
from tasks.session_page import keep_session_page
from tasks.session_spec import spec_of

log = structlog.get_logger(__name__)

ARTIFACT_S = 10.0
"""Prefect's client goes on trying for minutes while its server is away."""


# With a storage named, Prefect need not ask its server for one when a run begins: it would do so
# without yielding, and a server that hangs would block the whole process.
@flow(
    name="trade",
    flow_run_name=session_run_name,
    result_storage=Path(get_current_settings().results.local_storage_path),
    persist_result=False,
)
async def trade(agent: str) -> State[None]:
    """Recover the agent, trade its markets window by window, hand over to the next session."""
    began_ns = time.time_ns()
    settings = load_settings()
    configure_logs(settings.log_level)
    spec, fault = await spec_of(settings, agent)
    session = TradingSession(
        settings, spec, str(flow_run.id or ""), successor_of_this_run(), fault=fault
    )
    if reason := await session.open():
        return Completed(name="NotTrading", message=reason)
    async with session:
        labels = asyncio.create_task(tag_run(spec, settings.trading_mode))
        tell_event(SessionEvent.STARTED, agent, reason=fault)
        await session.follow(trade_window, settle_window)
        await session.finish_settling()
    await asyncio.gather(labels, return_exceptions=True)
    ended = session.reason
    tell_event(SessionEvent.ENDED, agent, reason=ended)
    if session.terminated:
        # All is in order now; Prefect's engine takes it from here as it takes every SIGTERM.
        raise TerminationSignal(signal.SIGTERM)
    await keep_page(settings, spec, began_ns, ended)
    return Completed(message=f"{session.windows} windows traded, {ended}")


async def keep_page(settings: Settings, spec: AgentSpec, began_ns: int, ended: str) -> None:
    """Write the session's page for the UI; nothing depends on it."""
    async with Database(urls(settings).database, max_size=1) as database:
        await keep_session_page(database, spec, settings.trading_mode, began_ns, ended)


@task(name="window", task_run_name="{market.slug}", cache_policy=NO_CACHE)
async def trade_window(session: TradingSession, market: Market) -> None:
    """Trade one market from now to the end of its window; a strategy that raises fails it."""
    await session.trade(market)


@task(name="settle", task_run_name="settle {market.slug}", cache_policy=NO_CACHE)
async def settle_window(session: TradingSession, market: Market) -> None:
    """Wait for the market's resolution and book what it brought."""
    result = await session.settle(market)
    try:
        async with asyncio.timeout(ARTIFACT_S):
            await acreate_markdown_artifact(
                key=f"pnl-{session.spec.name}",
                markdown=_report(result),
                description=f"{market.slug}: {usd(result.pnl_e6)} USD",
            )
    except Exception as error:  # the result is booked; only its page in the UI is missing
        log.warning("artifact_not_kept", market=market.slug, reason=repr(error))


def _report(result: WindowResult) -> str:
    rows = [
        ("resolved", result.winner),
        ("fills", str(result.fills)),
        ("bought", f"${usd(result.bought_e6)}"),
        ("sold", f"${usd(result.sold_e6)}"),
        ("fees", f"${usd(result.fees_e6)}"),
        ("payout", f"${usd(result.payout_e6)}"),
        ("**P&L**", f"**${usd(result.pnl_e6)}**"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"## {result.slug}\n\n| {result.agent} | |\n|---|---|\n{table}\n"
