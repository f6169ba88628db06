"""What runs and how the agents do, gathered in one look. Anything may be missing: it says so."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from console.environment import prefect_ui_url
from console.floor import running
from console.processes import Program, wanted_programs
from console.records import FloorRecord, LaunchRecord, read_launch
from console.supervisor import Supervisor
from console.waits import postgres_ready
from models.errors import FloorError, NotReady
from models.settings import Settings
from models.units import cash_decimal
from store import state
from store.agents import AgentOverview, agent_overview
from store.database import Database
from store.urls import urls


@dataclass(frozen=True, slots=True)
class ProgramStatus:
    """One local process, its children included."""

    name: str
    about: str
    state: str
    """``running``, ``done`` (a step), ``waits for …``, ``failed``, ``not running`` …"""
    pid: int | None
    uptime_s: float | None
    memory_bytes: int
    """Proportional share of memory (shared pages count once), of all its processes."""
    processes: int
    restarts: int
    """How often it was started again lately."""


@dataclass(frozen=True, slots=True)
class FloorStatus:
    """The floor at one moment."""

    up: bool
    mode: str
    home: str
    uptime_s: float | None
    prefect_ui: str
    liquidity: dict[str, Any] | None
    """What the simulator answers about its book; None without a simulator."""
    halt: str
    programs: list[ProgramStatus]
    agents: list[AgentOverview]
    agents_unknown: str
    """Why the agents could not be read; empty when they could."""


def gather(settings: Settings) -> FloorStatus:
    """Look at everything once. Never raises for a part that does not answer."""
    record = running(settings.floor_home)
    halt, unknown = "", "the floor is not running"
    agents: list[AgentOverview] = []
    if record is not None or settings.database_url is not None:
        try:
            halt, agents = asyncio.run(_from_database(settings))
            unknown = ""
        except FloorError as error:
            unknown = str(error)
    return FloorStatus(
        up=record is not None,
        mode=settings.trading_mode.value,
        home=str(settings.floor_home),
        uptime_s=time.time() - record.started_at if record is not None else None,
        prefect_ui=prefect_ui_url(settings),
        liquidity=_liquidity(settings) if record is not None else None,
        halt=halt,
        programs=_programs(settings, record),
        agents=agents,
        agents_unknown=unknown,
    )


async def _from_database(settings: Settings) -> tuple[str, list[AgentOverview]]:
    address = urls(settings).database
    if not postgres_ready(address):
        raise NotReady("Postgres does not answer")
    async with Database(address, max_size=1, timeout_s=3.0) as database:
        halt = await state.halted(database)
        return halt.reason if halt is not None else "", await agent_overview(database)


def _liquidity(settings: Settings) -> dict[str, Any] | None:
    if not settings.simulated:
        return None
    address = f"{settings.simulator_url}/admin/status"
    try:
        answer = httpx.get(address, timeout=1.0, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def _programs(settings: Settings, record: FloorRecord | None) -> list[ProgramStatus]:
    programs = wanted_programs(settings)
    if record is None:
        return [_row(settings, program, None, "") for program in programs]
    if record.programs:
        programs = [program for program in programs if program.name in record.programs]
    try:
        seen = {row.name: row.state for row in Supervisor(record.socket).states()}
    except NotReady:
        seen = {}
    return [_row(settings, program, record, seen.get(program.name, "")) for program in programs]


def _row(
    settings: Settings, program: Program, record: FloorRecord | None, seen: str
) -> ProgramStatus:
    launch = read_launch(settings.floor_home, program.name) if record is not None else None
    if launch is not None and record is not None and launch.instance != record.instance:
        launch = None
    process = launch.identity.process() if launch is not None else None
    memory, count = _memory(process)
    return ProgramStatus(
        name=program.name,
        about=program.about,
        state=_state(launch, process, seen),
        pid=process.pid if process is not None else None,
        uptime_s=time.time() - launch.created if launch is not None and process else None,
        memory_bytes=memory,
        processes=count,
        restarts=len(launch.starts) - 1 if launch is not None and launch.starts else 0,
    )


def _state(launch: LaunchRecord | None, process: psutil.Process | None, seen: str) -> str:
    if launch is None:
        return "not running"
    if launch.state in ("done", "failed"):
        return launch.state
    if process is None:
        return f"ended ({seen.lower()})" if seen else "ended"
    return launch.note or "starts" if launch.state == "waiting" else launch.state


def _memory(process: psutil.Process | None) -> tuple[int, int]:
    """Return the memory of a process with all below it, and how many they are."""
    if process is None:
        return 0, 0
    total = count = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0, 0
    for member in family:
        try:
            full = member.memory_full_info()
            total += getattr(full, "pss", 0) or full.rss
            count += 1
        except psutil.Error:
            continue
    return total, count


def as_json(status: FloorStatus) -> dict[str, Any]:
    """Return plain values; cash as text in dollars, so that no reader rounds it."""
    agents = [
        {
            "name": agent.name,
            "strategy": agent.strategy,
            "status": agent.status.value,
            "lifecycle": agent.lifecycle.value,
            "desired": agent.desired,
            "reason": agent.reason,
            "capital_usd": str(cash_decimal(agent.capital_e6)),
            "pnl_today_usd": str(cash_decimal(agent.pnl_today_e6)),
            "pnl_total_usd": str(cash_decimal(agent.pnl_total_e6)),
            "open_orders": agent.open_orders,
            "position_cost_usd": str(cash_decimal(agent.position_cost_e6)),
            "heartbeat_age_s": agent.heartbeat_age_s,
            "restarts_last_hour": agent.restarts_last_hour,
            "window": agent.window_slug,
            "session_live": agent.lease_live,
        }
        for agent in status.agents
    ]
    programs = [
        {
            "name": row.name,
            "about": row.about,
            "state": row.state,
            "pid": row.pid,
            "uptime_s": None if row.uptime_s is None else round(row.uptime_s, 1),
            "memory_bytes": row.memory_bytes,
            "processes": row.processes,
            "restarts": row.restarts,
        }
        for row in status.programs
    ]
    return {
        "up": status.up,
        "mode": status.mode,
        "home": status.home,
        "uptime_s": None if status.uptime_s is None else round(status.uptime_s, 1),
        "prefect_ui": status.prefect_ui,
        "liquidity": status.liquidity,
        "halt": status.halt,
        "programs": programs,
        "agents": agents,
        "agents_unknown": status.agents_unknown,
    }
