"""A floor without Prefect for tests of sessions: simulator, Postgres, Redis, one eager agent."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from aiohttp.test_utils import TestServer
from eth_account import Account
from pydantic import SecretStr

from models.errors import StoreUnavailable
from models.settings import ROOT, Liquidity, Settings
from store import leases
from store.database import Database
from store.leases import LeaseStatus
from tasks.agent_files import find_agent
from tasks.reconcile_floor import Look, look
from tasks.session import TradingSession, WindowStep
from tests.tasks.eager import AGENT, settle_window, trade_window
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery
from venue.simulator.config import SimulatorConfig
from venue.simulator.server import RunningSimulator, start_simulator
from venue.wallet import signing_key

WINDOW_S = 12
LONG_S = 14_400
PATIENCE_S = 180.0
"""A busy machine may take its time; whoever waits is woken as soon as it is so."""


@dataclass
class Stage:
    """One floor without Prefect."""

    settings: Settings
    simulator: RunningSimulator
    database: Database

    def session(self, run: str = "a-run", successor: Any = None, **changes: Any) -> TradingSession:
        settings = self.settings.model_copy(update=changes)
        return TradingSession(settings, find_agent(AGENT), run, successor)

    async def one(self, sql: str, *params: Any) -> Any:
        row = await self.database.fetch_one(sql, params)
        return None if row is None else next(iter(row.values()))

    async def fills(self) -> int:
        return int(await self.one("SELECT count(*) FROM fills"))

    async def orders(self) -> list[dict[str, Any]]:
        """The exchange's word on every order it ever took from us."""
        signer = Account.from_key(signing_key(self.settings).get_secret_value()).address
        url = f"{self.simulator.url}/admin/ledger/{signer}?limit=100000"
        async with httpx.AsyncClient(trust_env=False) as client:
            orders: list[dict[str, Any]] = (await client.get(url)).json()["orders"]
        return orders

    async def resting(self) -> list[str]:
        return [order["order_id"] for order in await self.orders() if order["open"]]

    async def lease(self) -> LeaseStatus | None:
        return await leases.holder(self.database, AGENT)

    async def held_by(self, run: str) -> bool:
        lease = await self.lease()
        return lease is not None and lease.live and lease.flow_run_id == run

    async def until(
        self,
        what: str,
        is_so: Callable[[], Awaitable[object]],
        seconds: float = PATIENCE_S,
    ) -> None:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            # A busy store may not answer in time.
            with suppress(StoreUnavailable):
                if await is_so():
                    return
            await asyncio.sleep(0.1)
        raise AssertionError(f"not within {seconds:g} s: {what}")

    async def look(self) -> Look:
        """Compare our books with the exchange's, as the reconcile flow does."""
        venue = await PolymarketVenue.connect(self.settings, nonce=0, agent="reconcile")
        try:
            async with GammaDiscovery(self.settings) as discovery:
                return await look(self.database, venue, discovery)
        finally:
            await venue.close()

    async def assert_books_agree(self) -> None:
        """Our books are the exchange's to the unit; no order was lost or sent twice."""
        seen: Look | None = None

        async def agree() -> bool:
            nonlocal seen
            seen = await self.look()
            return not seen.differences

        try:
            await self.until("books agree with the venue", agree)
        except AssertionError:
            raise AssertionError(f"books differ: {seen and seen.differences}") from None
        theirs = [order["order_id"] for order in await self.orders()]
        assert len(theirs) == len(set(theirs))
        ours = {row["order_id"] for row in await self.database.fetch("SELECT * FROM orders")}
        assert set(theirs) <= ours
        twice = await self.database.fetch(
            "SELECT intent_id FROM orders WHERE state NOT IN ('rejected', 'cancelled', 'expired')"
            " GROUP BY intent_id HAVING count(*) > 1"
        )
        assert twice == []

    def environment(self, **more: str) -> dict[str, str]:
        """What a process of this floor is started with."""
        settings = self.settings
        assert settings.database_url is not None and settings.redis_url is not None
        return {
            **os.environ,
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "FLOOR_HOME": str(settings.floor_home),
            "SIM_PORT": str(settings.sim_port),
            "EAGER_WINDOW_SECONDS": str(WINDOW_S),
            "LEASE_SECONDS": "60",
            "CHECKPOINT_INTERVAL": "1",
            **more,
        }

    def process(self, **more: str) -> "subprocess.Popen[bytes]":
        """Start a process that trades the agent until it is killed; its log is in a file."""
        with (self.settings.floor_home / "eager.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.tasks.eager"],
                cwd=ROOT,
                env=self.environment(**more),
                stdout=log,
                stderr=log,
            )


@asynccontextmanager
async def open_stage(
    postgres_url: str, redis_url: str, home: Path, window_s: int = WINDOW_S
) -> AsyncIterator[Stage]:
    """Yield a stage on servers that are there."""
    simulator = await start_simulator(
        SimulatorConfig(
            liquidity=Liquidity.MODEL,
            window_seconds=window_s,
            taker_delay_ms=20,
            settle_ms=(200, 400),
            resolve_lag_ms=500,
        )
    )
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url=postgres_url,
        redis_url=redis_url,
        floor_home=home,
        sim_port=simulator.port,
        lease_seconds=30,
        checkpoint_interval=1,
    ).model_copy(update={"sim_window_seconds": window_s})
    try:
        async with Database(postgres_url, max_size=2) as database:
            yield Stage(settings, simulator, database)
    finally:
        await simulator.close()


async def run(
    session: TradingSession,
    trade: WindowStep = trade_window,
    settle: WindowStep = settle_window,
) -> str:
    """One session from beginning to end, as `flows.trade` runs it."""
    if reason := await session.open():
        return reason
    async with session:
        await session.follow(trade, settle)
        await session.finish_settling()
    return ""


@dataclass
class Chat:
    """Hears what people are told."""

    url: SecretStr
    told: list[str] = field(default_factory=list)


@asynccontextmanager
async def chat_room() -> AsyncIterator[Chat]:
    """Serve a webhook that keeps every text it is sent, without the first word's icon."""
    chat = Chat(SecretStr(""))

    async def hear(request: web.Request) -> web.Response:
        chat.told.append((await request.json())["text"].split("] ", 1)[1])
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/hook", hear)
    async with TestServer(app, host="127.0.0.1") as server:
        chat.url = SecretStr(str(server.make_url("/hook")))
        yield chat
