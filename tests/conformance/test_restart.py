"""The venue does not forget: kill -9 in the middle of trading, and windows that ended meanwhile."""

import asyncio
import os
import signal
import socket
import sqlite3
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from polymarket import AsyncSecureClient
from polymarket.errors import PolymarketError, TransportError, UnexpectedResponseError

from models.settings import ROOT
from models.units import SECOND_NS

from .conftest import OTHER, OWNER, START_S, environment
from .test_official_client import items


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Process:
    """The simulator as a process of its own, as the floor runs it."""

    port: int
    home: Any
    process: asyncio.subprocess.Process | None = None

    @property
    def sim(self) -> Any:
        base = f"127.0.0.1:{self.port}"
        return SimpleNamespace(url=f"http://{base}", ws_url=f"ws://{base}")

    async def start(self) -> None:
        env = os.environ | {
            "SIM_PORT": str(self.port),
            "FLOOR_HOME": str(self.home),
            "SIM_LIQUIDITY": "model",
            "TRADING_MODE": "sim",
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "venue.simulator", cwd=ROOT, env=env,
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with httpx.AsyncClient() as http, asyncio.timeout(60):
            while True:
                try:
                    await http.get(self.sim.url + "/clob/ok")
                    return
                except httpx.TransportError:
                    assert self.process.returncode is None, "the simulator ended by itself"
                    await asyncio.sleep(0.05)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient() as http:
            return (await http.get(self.sim.url + path)).json()

    async def client(self) -> AsyncSecureClient:
        return await AsyncSecureClient.create(
            private_key="0x" + bytes(OWNER.key).hex(),
            wallet=OWNER.address,
            environment=environment(self.sim),
        )


@pytest.fixture
async def process(tmp_path):
    process = Process(free_port(), tmp_path)
    await process.start()
    yield process
    await process.kill()


async def trade(client: AsyncSecureClient, token: str, acknowledged: list[Any]) -> None:
    """Trade without pause until the venue is gone."""
    for i in range(10_000):
        price = f"0.{5 + i % 20:02d}"
        try:
            reply = await client.place_limit_order(
                asset_id=token, price=price, size="5", side="BUY"
            )
            acknowledged.append(reply)
            if i % 7 == 3:
                await client.place_market_order(asset_id=token, side="BUY", amount="2")
            if i % 5 == 4:
                await client.cancel_order(order_id=acknowledged[-2].order_id)
        except (TransportError, UnexpectedResponseError):
            return
        except PolymarketError:
            # Refused, or towards its end nobody sells in the window any more.
            await asyncio.sleep(0.05)


def check_books(ledger: dict[str, Any]) -> None:
    """Cash and shares follow from the trades to the last unit, and orders' fills too."""
    wallet = ledger["wallets"][OWNER.address]
    cash, shares, filled = wallet["granted_e6"], {}, {}
    for record in ledger["trades"]:
        for leg in (record["taker"], *record["makers"]):
            if leg["owner"] != OWNER.address:
                continue
            sign = 1 if leg["side"] == "BUY" else -1
            cash -= sign * leg["cash_e6"] + leg["fee_e6"]
            shares[leg["token_id"]] = shares.get(leg["token_id"], 0) + sign * leg["size_e6"]
            filled[leg["order_id"]] = filled.get(leg["order_id"], 0) + leg["size_e6"]
    assert wallet["cash_e6"] == cash
    assert wallet["shares_e6"] == {token: size for token, size in shares.items() if size}
    assert {o["order_id"]: o["matched_e6"] for o in ledger["orders"] if o["matched_e6"]} == filled


async def test_kill_9_in_the_middle_of_trading_loses_nothing_acknowledged(process):
    """Twice in a row, at different moments; what was acknowledged is there, and the sums agree."""
    slug = next(
        w["slug"]
        for w in (await process.get("/admin/status"))["windows"]
        if w["slug"].startswith("eth-updown-15m")
    )
    market = await process.get(f"/clob/markets/{await condition(process, slug)}")
    token = market["tokens"][0]["token_id"]
    acknowledged: list[Any] = []
    for enough in (20, 53):
        client = await process.client()
        trading = asyncio.create_task(trade(client, token, acknowledged))
        while len(acknowledged) < enough:
            assert not trading.done(), f"trading ended after {len(acknowledged)} orders"
            await asyncio.sleep(0.001)
        await process.kill()
        await trading
        await client.close()
        await process.start()
        await check_restarted(process, acknowledged)


async def check_restarted(process: Process, acknowledged: list[Any]) -> None:
    ledger = await process.get(f"/admin/ledger/{OWNER.address}?limit=100000")
    known = {order["order_id"]: order for order in ledger["orders"]}
    assert {reply.order_id for reply in acknowledged} <= set(known)
    check_books(ledger)
    client = await process.client()
    still_open = {order.id for order in await items(client.list_open_orders())}
    assert still_open == {order_id for order_id, order in known.items() if order["open"]}
    reserved = sum(
        -(-o["price_e4"] * (o["size_e6"] - o["matched_e6"]) // 10_000)
        for o in ledger["orders"]
        if o["open"]
    )
    assert ledger["wallets"][OWNER.address]["reserved_e6"] == reserved
    report = await client.cancel_all()
    assert set(report.canceled) == still_open
    after = await process.get(f"/admin/ledger/{OWNER.address}?limit=100000")
    assert after["wallets"][OWNER.address]["reserved_e6"] == 0
    check_books(after)
    await client.close()


async def condition(process: Process, slug: str) -> str:
    return (await process.get(f"/gamma/markets/slug/{slug}"))["conditionId"]


async def test_a_window_that_ended_while_the_venue_was_down_is_paid(make_stage):
    stage = await make_stage()
    client = await stage.client()
    reply = await client.place_market_order(asset_id=stage.down, side="BUY", amount="10")
    resting = await client.place_limit_order(
        asset_id=stage.down, price="0.05", size="10", side="BUY"
    )
    before = (await stage.ledger())["wallets"][OWNER.address]["cash_e6"]
    slug = stage.window.market.slug
    await client.close()
    await stage.sim.close()

    stage = await make_stage(at_s=START_S + 1300)
    window = stage.sim.world.registry.by_slug[slug]
    assert window.winner.value == "Down"
    ledger = await stage.ledger()
    paid = round(reply.taking_amount * 1_000_000)
    assert ledger["wallets"][OWNER.address]["cash_e6"] == before + paid
    assert [r["cash_e6"] for r in ledger["redemptions"]] == [paid]
    by_id = {order["order_id"]: order for order in ledger["orders"]}
    assert by_id[resting.order_id]["status"] == "CANCELED_MARKET_RESOLVED"
    assert {trade["status"] for trade in ledger["trades"]} == {"CONFIRMED"}
    await stage.sim.close()


async def test_a_partly_filled_order_comes_back_with_what_is_left(make_stage):
    """Less than the minimum size may be left; it rests on and can still be filled."""
    stage = await make_stage()
    window = stage.window_at(2)
    world = stage.sim.world
    client, other = await stage.client(), await stage.client(OTHER)
    world.withdrawn(window, world.now())
    world._trading.add(window.condition_id)
    token = window.market.up_token
    resting = await client.place_limit_order(asset_id=token, price="0.40", size="10", side="BUY")
    await other.place_market_order(
        asset_id=window.market.down_token, side="BUY", amount="4.20", max_price="0.60"
    )
    await client.close()
    await other.close()
    await stage.sim.close()

    stage = await make_stage(at_s=START_S + 301)
    client = await stage.client()
    (order,) = await items(client.list_open_orders())
    assert (order.id, order.size_matched) == (resting.order_id, 7)
    ledger = await stage.ledger()
    assert ledger["wallets"][OWNER.address]["reserved_e6"] == 3 * 400_000
    assert ledger["wallets"][OWNER.address]["shares_e6"] == {token: 7_000_000}
    await client.cancel_all()
    assert (await stage.ledger())["wallets"][OWNER.address]["reserved_e6"] == 0
    await client.close()
    await stage.sim.close()


async def test_keys_and_heartbeats_survive(make_stage):
    stage = await make_stage()
    client = await stage.client()
    credentials = client.credentials
    await client.place_limit_order(asset_id=stage.up, price="0.05", size="5", side="BUY")
    beat = await client.send_order_heartbeat()
    await client.close()
    await stage.sim.close()

    stage = await make_stage(at_s=START_S + 330)
    client = await stage.client(credentials=credentials)
    assert len(await items(client.list_open_orders())) == 1
    assert await client.send_order_heartbeat(heartbeat_id=beat.heartbeat_id)
    await stage.advance(12)
    assert await items(client.list_open_orders()) == []
    await client.close()
    await stage.sim.close()


async def test_a_disk_of_another_version_is_one_clear_error(make_stage, tmp_path):
    stage = await make_stage()
    await stage.sim.close()
    path = tmp_path / "sim" / "simulator.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(Exception, match="was written by version 99 of the simulator"):
        await make_stage()


async def test_a_ghost_fill_in_flight_still_fails_after_a_restart(make_stage):
    stage = await make_stage()
    client = await stage.client()
    await stage.fault("ghost-fill", count=1)
    await client.place_market_order(asset_id=stage.up, side="BUY", amount="5")
    await client.close()
    await stage.sim.close()

    stage = await make_stage(at_s=START_S + 320)
    ledger = await stage.ledger()
    assert "FAILED" in {trade["status"] for trade in ledger["trades"]}
    wallet = ledger["wallets"][OWNER.address]
    confirmed = [t for t in ledger["trades"] if t["status"] == "CONFIRMED"]
    spent = sum(t["taker"]["cash_e6"] + t["taker"]["fee_e6"] for t in confirmed)
    assert wallet["cash_e6"] == wallet["granted_e6"] - spent
    assert stage.clock.now_ns() > START_S * SECOND_NS
    await stage.sim.close()
