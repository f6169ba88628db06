"""Paper trading's three results, with a second simulator standing in for the live venue."""

import asyncio
from decimal import Decimal

import httpx
import pytest

from models.fills import FillModel
from venue.simulator import mirror
from venue.simulator.config import Series, SimulatorConfig
from venue.simulator.server import start_simulator

from .conftest import OTHER, OWNER, Stage, eventually
from .test_mirror import endpoints_of, same_books

NAMES = ("pessimistic", "central", "optimistic")


@pytest.fixture
async def make_paper(stage, tmp_path, monkeypatch):
    """Start paper venues that mirror `stage`, on its clock."""
    monkeypatch.setattr(mirror, "LOOK_S", 0.05)
    started: list[Stage] = []

    async def make(model: FillModel, home: str = "paper") -> Stage:
        config = SimulatorConfig(
            home=tmp_path / home,
            taker_delay_ms=0,
            series=(Series("BTC", "15m"),),
            fill_model=model,
            mirror=endpoints_of(stage),
        )
        started.append(Stage(await start_simulator(config, stage.clock), stage.clock))
        await same_books(stage, started[-1])
        return started[-1]

    yield make
    for paper in started:
        await paper.sim.close()


async def fills(paper: Stage) -> dict:
    async with httpx.AsyncClient() as http:
        report = (await http.get(paper.url + "/admin/fills")).json()
        status = (await http.get(paper.url + "/admin/status")).json()
    assert report["fill_model"] == status["fill_model"]
    return report["wallets"].get(OWNER.address, {}) | {"totals": status["pnl"]}


async def joins_best_bid(live: Stage, paper: Stage, shares: int) -> int:
    """Rest a paper BUY of Up beside everybody else at the best bid; returns its price in e4."""
    bid, size = live.sim.world.book(live.window, live.up)[0][0]
    assert size > shares * 1_000_000
    client = await paper.client()
    price = Decimal(bid) / 10_000
    reply = await client.place_limit_order(
        asset_id=live.up, price=price, size=str(shares), side="BUY"
    )
    assert reply.status == "live"
    await client.close()
    return bid


async def sells_up(live: Stage, dollars: str) -> int:
    """A stranger on the live venue takes Up's best bids; returns the shares (e6) that traded."""
    stranger = await live.client(OTHER)
    reply = await stranger.place_market_order(asset_id=live.down, side="BUY", amount=dollars)
    assert reply.status == "matched"
    await stranger.close()
    return round(reply.taking_amount * 1_000_000)


async def sees_print(live: Stage, paper: Stage) -> None:
    """Wait until the paper venue has heard of the trade and of the book it left."""
    await eventually("volume", lambda: paper.window.volume_e6 > 0, 10)
    await same_books(live, paper)


@pytest.mark.parametrize(
    ("model", "like"), [(FillModel.BACK, "pessimistic"), (FillModel.FRONT, "optimistic")]
)
async def test_the_chosen_model_fills_and_all_three_are_told(stage, make_paper, model, like):
    paper = await make_paper(model)
    bid = await joins_best_bid(stage, paper, 5)
    traded = await sells_up(stage, "2")
    assert traded < 5_000_000
    await eventually("print", lambda: paper.window.volume_e6 > 0, 10)
    told = await fills(paper)
    assert told["pessimistic"]["filled_e6"] == 0
    assert told["optimistic"]["filled_e6"] == traded
    assert 0 <= told["central"]["filled_e6"] <= traded
    assert told["exchange"]["filled_e6"] == told[like]["filled_e6"]
    spent = bid * told[like]["filled_e6"] // 10_000
    assert told["exchange"]["cash_e6"] == told[like]["cash_e6"] == 1_000_000_000 - spent
    assert set(told["totals"]) == {"exchange", *NAMES}
    assert OWNER.address not in (await stage.ledger())["wallets"]


async def test_settlement_pays_every_model_and_a_restart_keeps_what_they_made(stage, make_paper):
    paper = await make_paper(FillModel.FRONT)
    window = stage.window
    bid = await joins_best_bid(stage, paper, 5)
    traded = await sells_up(stage, "2")
    await eventually("print", lambda: paper.window.volume_e6 > 0, 10)
    client = await paper.client()
    mine = paper.sim.world.registry.by_condition[window.condition_id]
    await client.cancel_all()
    await client.close()
    for _ in range(13):
        await stage.advance(50)
        await asyncio.sleep(0.05)
    await eventually("resolution", lambda: mine.closed, 20)
    told = await fills(paper)
    won = traded if mine.winner.value == "Up" else 0
    made = won - bid * traded // 10_000
    assert told["optimistic"]["settled_e6"] == told["exchange"]["settled_e6"] == made
    assert told["optimistic"]["open_e6"] == 0
    assert told["pessimistic"]["pnl_e6"] == 0
    ledger = await paper.ledger()
    assert ledger["wallets"][OWNER.address]["cash_e6"] == told["exchange"]["cash_e6"]
    await paper.sim.close()
    again = await make_paper(FillModel.FRONT)
    assert await fills(again) == told


async def test_replay_tells_the_three_results_of_a_taking_order_alike(stage, client):
    reply = await client.place_market_order(asset_id=stage.up, side="BUY", amount="20")
    told = await fills(stage)
    got = round(reply.taking_amount * 1_000_000)
    for name in ("exchange", *NAMES):
        assert told[name]["filled_e6"] == got
        assert told[name]["cash_e6"] == told["exchange"]["cash_e6"]
        assert told[name]["fees_e6"] > 0
    assert (await stage.ledger())["wallets"][OWNER.address]["cash_e6"] == told["exchange"][
        "cash_e6"
    ]


async def test_over_a_replayed_window_resting_orders_keep_the_bounds(stage, client):
    """Orders at and below the best bid, left to the recording for five minutes."""
    bid = stage.sim.world.book(stage.window, stage.up)[0][0][0]
    for cents in range(4):
        price = Decimal(bid - 100 * cents) / 10_000
        await client.place_limit_order(asset_id=stage.up, price=price, size="40", side="BUY")
    for _ in range(300):
        await stage.advance(1)
    told = await fills(stage)
    filled = [told[name]["filled_e6"] for name in NAMES]
    assert filled == sorted(filled)
    assert filled[-1] > 0, "nobody came in five minutes"
    assert (await stage.ledger())["wallets"][OWNER.address]["cash_e6"] == told["exchange"][
        "cash_e6"
    ]
