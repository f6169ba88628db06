"""The mirror, with a second simulator standing in for the live venue."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from venue.polymarket.endpoints import Endpoints
from venue.simulator import mirror
from venue.simulator.config import Series, SimulatorConfig
from venue.simulator.server import start_simulator

from .conftest import OWNER, Stage, eventually
from .test_official_client import cash, shares


def endpoints_of(live: Stage) -> Endpoints:
    return Endpoints(
        clob=live.url + "/clob",
        clob_data=live.url + "/clob",
        gamma=live.url + "/gamma",
        data=live.url + "/data",
        relayer=live.url + "/relayer",
        ws_market=live.sim.ws_url + "/ws/market",
        ws_user=live.sim.ws_url + "/ws/user",
        ws_prices=live.sim.ws_url + "/ws/prices",
        ws_live=live.sim.ws_url + "/ws/live",
    )


@pytest.fixture
async def pair(stage, tmp_path, monkeypatch):
    """A live venue and a paper venue that mirrors it, on one clock."""
    monkeypatch.setattr(mirror, "LOOK_S", 0.05)
    config = SimulatorConfig(
        home=tmp_path / "paper",
        taker_delay_ms=0,
        series=(Series("BTC", "15m"),),
        mirror=endpoints_of(stage),
    )
    paper = Stage(await start_simulator(config, stage.clock), stage.clock)
    yield stage, paper
    await paper.sim.close()


def books(stage: Stage, window) -> object:
    if window.condition_id not in stage.sim.world.exchange.markets:
        return None
    return stage.sim.world.book(window, window.market.up_token)


async def same_books(live: Stage, paper: Stage) -> None:
    window = live.window
    await eventually("books", lambda: books(paper, window) == books(live, window) != ([], []), 15)


async def test_paper_orders_fill_in_the_live_book_and_leave_it_alone(pair):
    live, paper = pair
    await same_books(live, paper)
    async with httpx.AsyncClient() as http:
        status = (await http.get(paper.url + "/admin/status")).json()
    assert status["liquidity"] == "mirror"
    strike = live.window.opening_e8
    assert paper.window.market == replace(live.window.market, strike_e8=strike)
    client = await paper.client()
    before = books(live, live.window)
    reply = await client.place_market_order(asset_id=live.up, side="BUY", amount="50")
    assert reply.status == "matched"
    assert await shares(client, live.up) == round(reply.taking_amount * 1_000_000)
    assert books(live, live.window) == before
    assert books(paper, live.window) != before
    assert (await live.ledger())["wallets"] == {}
    await client.close()


async def test_the_mirror_follows_resolves_and_pays(pair):
    live, paper = pair
    await same_books(live, paper)
    client = await paper.client()
    window = live.window
    reply = await client.place_market_order(
        asset_id=window.market.down_token, side="BUY", amount="10"
    )
    for _ in range(5):
        await live.advance(1)
        await asyncio.sleep(0.05)
    await same_books(live, paper)
    after_buy = await cash(client)
    for _ in range(12):
        await live.advance(50)
        await asyncio.sleep(0.05)
    mine = paper.sim.world.registry.by_condition[window.condition_id]
    await eventually("resolution", lambda: mine.closed, 20)
    assert mine.winner == window.winner
    won = round(reply.taking_amount * 1_000_000) if window.winner.value == "Down" else 0
    assert await cash(client) == after_buy + won
    await client.close()


async def test_when_the_live_feed_is_lost_nothing_can_be_bought(pair):
    live, paper = pair
    await same_books(live, paper)
    window = live.window
    await live.sim.close()
    await eventually("withdrawal", lambda: books(paper, window) == ([], []), 15)
    client = await paper.client()
    assert await cash(client) == 1_000_000_000
    await client.close()


async def test_paper_holdings_survive_a_restart(pair, tmp_path):
    live, paper = pair
    await same_books(live, paper)
    client = await paper.client()
    reply = await client.place_market_order(asset_id=live.up, side="BUY", amount="10")
    await client.close()
    await paper.sim.close()
    config = paper.sim.world.config
    again = Stage(await start_simulator(config, live.clock), live.clock)
    ledger = await again.ledger()
    held = ledger["wallets"][OWNER.address]["shares_e6"]
    assert held == {live.up: round(reply.taking_amount * 1_000_000)}
    await same_books(live, again)
    await again.sim.close()
