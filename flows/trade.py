"""Trade: one session of one agent, from recovery to hand-over."""

import asyncio

import structlog
from prefect import flow, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from models.journal import WindowResult
from models.markets import Market
from models.settings import load_settings
from models.units import usd
from tasks.agent_files import find_agent
from tasks.handover import schedule_successor
from tasks.logs import configure_logs
from tasks.session import TradingSession

log = structlog.get_logger(__name__)

ARTIFACT_S = 10.0
"""Prefect's client goes on trying for minutes while its server is away."""


@flow(name="trade", flow_run_name="{agent}")
async def trade(agent: str) -> State[None]:
    """Recover the agent, trade its markets window by window, hand over to the next session."""
    settings = load_settings()
    configure_logs(settings.log_level)
    session = TradingSession(settings, find_agent(agent), str(flow_run.id or ""))
    if reason := await session.open():
        return Completed(name="NotTrading", message=reason)
    async with session:
        await session.follow(trade_window, settle_window)
        if not session.halt.is_set():
            # It starts while this one settles, and takes the lease the moment it is given back.
            await schedule_successor()
        await session.finish_settling()
    return Completed(message=f"{session.windows} windows traded")


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
