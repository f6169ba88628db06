"""Paper trading while the live venue is away: nothing fills, nothing new is let in."""

import pytest

from models.events import FeedState
from venue.polymarket.endpoints import Endpoints
from venue.simulator import mirror
from venue.simulator.config import Series

from .conftest import START_S

CANCEL_ONLY = (
    "Trading is currently cancel-only. New orders are not accepted, but cancels are allowed."
)


def endpoints_of(stage):
    url, ws = stage.sim.url, stage.sim.ws_url
    return Endpoints(
        clob=url + "/clob", clob_data=url + "/clob", gamma=url + "/gamma", data=url + "/data",
        relayer=url + "/relayer", ws_market=ws + "/ws/market", ws_user=ws + "/ws/user",
        ws_prices=ws + "/ws/prices", ws_live=ws + "/ws/live",
    )  # fmt: skip


@pytest.fixture
async def pair(make_stage, tmp_path, monkeypatch, wait_for, unused_port):
    """A live venue, and a paper venue that mirrors it."""
    monkeypatch.setattr(mirror, "LOOK_S", 0.05)
    live = await make_stage(home=tmp_path / "live", port=unused_port)
    paper = await make_stage(
        home=tmp_path / "paper", mirror=endpoints_of(live), series=(Series("ETH", "15m"),)
    )
    await wait_for("book", lambda: shown(live, paper), 15)
    return live, paper


def shown(live, paper):
    """Whether the paper venue shows the live book."""
    condition, token = live.window.condition_id, live.up
    mine = paper.sim.world.registry.by_condition.get(condition)
    if mine is None:
        return False
    books = (stage.sim.world.book(live.window, token) for stage in (paper, live))
    return next(books) == next(books) != ([], [])


async def test_orders_are_refused_and_nothing_fills_until_the_live_book_is_back(
    pair, make_stage, tmp_path, wait_for
):
    live, paper = pair
    trader = await paper.trader()
    up, port = live.up, live.sim.port
    bid = live.sim.world.book(live.window, up)[0][0][0]
    status, resting = await trader.post(up, bid // 100, 50)
    assert (status, resting["status"]) == (200, "live")
    await live.http.close()
    await live.sim.close()
    world = paper.sim.world
    await wait_for("outage", lambda: world.mirror.feed is not FeedState.UP, 15)

    for order in ((up, 5, 10), (up, 99, 10, "BUY", "FAK"), (up, bid // 100, 10)):
        status, answer = await trader.post(*order)
        assert (status, answer) == (503, {"error": CANCEL_ONLY})
    status, answers = await trader.send("POST", "/orders", [trader.order(up, 5, 10)])
    assert (status, answers["error"]) == (503, CANCEL_ONLY)
    ledger = await trader.ledger()
    assert [o["order_id"] for o in ledger["orders"] if o["open"]] == [resting["orderID"]]
    assert ledger["trades"] == []
    assert world.fills.report()["wallets"][trader.address]["optimistic"]["filled_e6"] == 0
    async with paper.http.get(paper.sim.url + "/admin/status") as answer:
        assert (await answer.json())["live_feed"] in ("down", "stale")

    again = await make_stage(at_s=START_S + 300, home=tmp_path / "live", port=port)
    await wait_for("return", lambda: world.mirror.feed is FeedState.UP and shown_level(paper, up))
    assert again.up == up
    status, answer = await trader.post(up, 5, 10)
    assert (status, answer["status"]) == (200, "live")
    status, answer = await trader.send("DELETE", "/order", {"orderID": resting["orderID"]})
    assert answer["canceled"] == [resting["orderID"]]


def shown_level(paper, token):
    bids, asks = paper.sim.world.book(paper.window, token)
    return len(bids) > 1 and len(asks) > 1


async def test_cancels_work_while_the_live_venue_is_away(pair, wait_for):
    live, paper = pair
    trader = await paper.trader()
    up = live.up
    _, resting = await trader.post(up, 5, 50)
    await live.http.close()
    await live.sim.close()
    await wait_for("outage", lambda: paper.sim.world.mirror.feed is not FeedState.UP, 15)
    status, answer = await trader.send("DELETE", "/cancel-all")
    assert (status, answer["canceled"]) == (200, [resting["orderID"]])
    held = (await trader.ledger())["wallets"][trader.address]
    assert (held["cash_e6"], held["reserved_e6"]) == (held["granted_e6"], 0)


async def test_a_market_whose_book_is_awaited_is_not_ready(pair):
    live, paper = pair
    trader = await paper.trader()
    up = live.up
    paper.sim.world.mirror._ladders[live.window.condition_id].clear()
    status, answer = await trader.post(up, 5, 50)
    assert (status, answer["error"]) == (
        400,
        "the market is not yet ready to process new orders",
    )
    assert (await trader.ledger())["orders"] == []
