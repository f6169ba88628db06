"""The page of a session in Prefect's UI: its windows, fills, P&L and restarts."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from prefect.artifacts import acreate_markdown_artifact

from models.agents import AgentSpec
from models.settings import TradingMode
from models.tables.columns import from_ns
from models.units import usd
from store.database import Database
from store.rows import e6
from tasks.markdown import artifact_key, plain, row

log = structlog.get_logger(__name__)

ANSWER_S = 10.0
"""Prefect's client goes on trying for minutes while its server is away."""
SHOWN = 100
"""Windows a page lists at most, the last ones."""

_WINDOWS = """
    SELECT slug, winner, fills, pnl, closed_at FROM trades
    WHERE agent = %(agent)s AND closed_at >= %(since)s ORDER BY closed_at, slug
"""
_RESTARTS = """
    SELECT restarted_at, reason FROM agent_restarts
    WHERE agent = %(agent)s AND restarted_at > %(since)s - interval '1 hour'
    ORDER BY restarted_at
"""


@dataclass(frozen=True, slots=True)
class WindowLine:
    slug: str
    winner: str
    fills: int
    pnl_e6: int


@dataclass(frozen=True, slots=True)
class SessionPage:
    """What a session's page shows."""

    agent: str
    strategy: str
    mode: str
    began: datetime
    ended: datetime
    reason: str
    """Why it ended."""
    windows: Sequence[WindowLine]
    """Settled while it ran: the last one of its predecessor's among them, not its own last one."""
    restarts: Sequence[tuple[datetime, str]]
    """When and why the agent was restarted, from an hour before the session on."""

    @property
    def fills(self) -> int:
        return sum(window.fills for window in self.windows)

    @property
    def pnl_e6(self) -> int:
        return sum(window.pnl_e6 for window in self.windows)


async def read_session_page(
    database: Database, spec: AgentSpec, mode: TradingMode, began_ns: int, reason: str
) -> SessionPage:
    """Gather what the session that began at `began_ns` (wall clock) has done so far.

    Raises
    ------
    StoreUnavailable
        Postgres does not answer.
    """
    asked = {"agent": spec.name, "since": from_ns(began_ns)}
    windows = await database.fetch(_WINDOWS, asked)
    restarts = await database.fetch(_RESTARTS, asked)
    return SessionPage(
        agent=spec.name,
        strategy=spec.strategy,
        mode=mode.value,
        began=from_ns(began_ns),
        ended=from_ns(time.time_ns()),
        reason=reason,
        windows=[
            WindowLine(each["slug"], each["winner"], each["fills"], e6(each["pnl"]))
            for each in windows
        ],
        restarts=[(each["restarted_at"], each["reason"]) for each in restarts],
    )


def session_markdown(page: SessionPage) -> str:
    """Write the page."""
    figures = [
        ("strategy", page.strategy),
        ("mode", page.mode),
        ("from", f"{page.began:%Y-%m-%d %H:%M:%S} UTC"),
        ("to", f"{page.ended:%Y-%m-%d %H:%M:%S} UTC"),
        ("ended", page.reason),
        ("windows settled", str(len(page.windows))),
        ("fills", str(page.fills)),
        ("P&L", f"${usd(page.pnl_e6)}"),
        ("restarts", str(len(page.restarts))),
    ]
    parts = [
        f"## {plain(page.agent)}",
        "\n".join([row(["", ""]), row(["---", "---"]), *map(row, figures)]),
    ]
    if page.windows:
        shown = page.windows[-SHOWN:]
        lines = [
            [each.slug, each.winner, str(each.fills), f"${usd(each.pnl_e6)}"] for each in shown
        ]
        head = ["window", "resolved", "fills", "P&L"]
        parts.append("\n".join([row(head), row(["---"] * len(head)), *map(row, lines)]))
    if page.restarts:
        parts.append(
            "**Restarts, from an hour before the session on**\n\n"
            + "\n".join(f"- {when:%H:%M:%S} {plain(why)}" for when, why in page.restarts)
        )
    return "\n\n".join(parts) + "\n"


async def keep_session_page(
    database: Database, spec: AgentSpec, mode: TradingMode, began_ns: int, reason: str
) -> bool:
    """Put the page into Prefect's UI; False, with a warning in the log, where it can't be kept.

    The books are in Postgres whether or not there is a page of them: this takes no longer than
    `ANSWER_S` and raises nothing.
    """
    try:
        async with asyncio.timeout(ANSWER_S):
            page = await read_session_page(database, spec, mode, began_ns, reason)
            await acreate_markdown_artifact(
                key=artifact_key("session", spec.name),
                markdown=session_markdown(page),
                description=(
                    f"{page.began:%m-%d %H:%M}: {len(page.windows)} windows, "
                    f"{usd(page.pnl_e6)} USD, {reason}"
                ),
            )
    except Exception as error:
        log.warning("session_page_not_kept", agent=spec.name, reason=repr(error))
        return False
    return True
