"""Messages that travel: what they meet is the market at their arrival, in their order."""

import asyncio
import json
import os
import signal
import sys

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fills.latency import delay_of
from models.settings import ROOT
from models.travel import Travel
from venue.simulator.schedule import Schedule
from venue.simulator.ways import OrderWay, feed_way

from .conftest import Trader

MS = 1_000_000
SLOW = Travel(200 * MS)


class Arrivals:
    """Frames sent over a way, and when each arrived."""

    def __init__(self, travel, seed=1):
        self.schedule = Schedule()
        self.schedule.run(1)
        self.later = feed_way(travel, seed, self.schedule)
        self.seen = []

    def send(self, name):
        self.later(lambda: self.seen.append((name, self.schedule.now_ns)))


@given(st.lists(st.integers(0, 100 * MS), min_size=1, max_size=50), st.floats(0.1, 3))
def test_frames_never_overtake_each_other_and_none_is_lost(pauses, sigma):
    arrivals = Arrivals(Travel(40 * MS, sigma))
    sent = []
    for number, pause in enumerate(pauses):
        arrivals.schedule.run(arrivals.schedule.now_ns + pause)
        sent.append(arrivals.schedule.now_ns)
        arrivals.send(number)
    arrivals.schedule.run(arrivals.schedule.now_ns + 10**11)
    assert [name for name, _ in arrivals.seen] == list(range(len(pauses)))
    assert all(at_ns > sent_ns for (_, at_ns), sent_ns in zip(arrivals.seen, sent, strict=True))


def test_no_latency_plans_nothing():
    assert feed_way(Travel(), 1, Schedule()) is None


def test_the_median_is_the_one_that_was_asked_for():
    delay = delay_of(Travel(40 * MS, 0.5), 7)
    times = sorted(delay.next_ns() for _ in range(4001))
    assert times[2000] == pytest.approx(40 * MS, rel=0.05)
    assert delay_of(Travel(40 * MS), 7).next_ns() == 40 * MS


async def test_the_messages_of_a_key_keep_their_order():
    schedule = Schedule()
    schedule.run(1)
    way = OrderWay(Travel(40 * MS, 2.0), 3, schedule)
    seen = []

    async def send(number):
        assert await way.arrive("key")
        seen.append(number)

    tasks = [asyncio.create_task(send(number)) for number in range(30)]
    await asyncio.sleep(0)
    for step in range(1, 400):
        schedule.run(1 + step * 25 * MS)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert seen == list(range(30))


async def test_an_order_meets_the_market_as_it_is_when_it_arrives(make_stage, wait_for):
    stage = await make_stage(order_latency=SLOW)
    trader = await stage.trader()
    world = stage.sim.world
    (ask, _) = (await stage.book())[1][0]
    price = ask // 100
    posting = asyncio.create_task(trader.post(stage.up, price, 10, "BUY", "FAK"))
    await wait_for("hold", lambda: world.schedule.next_ns() == world.now() + 200 * MS)
    assert (await trader.ledger())["orders"] == []
    await stage.advance(0.1)
    stage.empty_book()
    assert not posting.done()
    await stage.advance(0.1)
    status, answer = await posting
    assert (status, answer["error"]) == (
        400,
        "no orders found to match with FAK order. FAK orders are partially filled or killed "
        "if no match is found.",
    )
    assert (await trader.ledger())["orders"] == []


async def test_a_cancel_does_not_overtake_its_order_and_takes_as_long(make_stage, wait_for):
    stage = await make_stage(order_latency=SLOW)
    trader = await stage.trader()
    world = stage.sim.world
    posting = asyncio.create_task(trader.post(stage.up, 5, 10))
    await wait_for("order held", lambda: world.schedule.next_ns() == world.now() + 200 * MS)
    await stage.advance(0.05)
    cancelling = asyncio.create_task(trader.send("DELETE", "/cancel-all"))
    await asyncio.sleep(0.05)
    await stage.advance(0.15)
    status, placed = await posting
    assert (status, placed["status"]) == (200, "live")
    assert world.desk.open_count() == 1
    assert not cancelling.done()
    await stage.advance(0.05)
    assert await cancelling == (200, {"canceled": [placed["orderID"]], "not_canceled": {}})


async def test_a_heartbeat_too_late_on_its_way_saves_nothing(make_stage, wait_for):
    stage = await make_stage(order_latency=Travel(2000 * MS))
    trader = await stage.trader()
    world = stage.sim.world

    async def after_two_seconds(call):
        count = len(world.schedule._heap)
        task = asyncio.create_task(call)
        await wait_for("hold", lambda: len(world.schedule._heap) > count)
        return task

    order = await after_two_seconds(trader.post(stage.up, 5, 10))
    await stage.advance(2)
    assert (await order)[0] == 200
    beat = await after_two_seconds(trader.send("POST", "/v1/heartbeats", {"heartbeat_id": ""}))
    await stage.advance(2)
    _, first = await beat
    await stage.advance(9)
    assert world.desk.open_count() == 1
    late = await after_two_seconds(trader.send("POST", "/v1/heartbeats", first))
    await stage.advance(2)
    assert (await late)[0] == 200
    assert world.desk.open_count() == 0


async def test_frames_arrive_late_in_order_and_agree_with_the_book(make_stage, wait_for):
    stage = await make_stage(feed_latency=SLOW)
    trader = await stage.trader()
    frames = []

    async def listen(socket):
        async for message in socket:
            frames.extend(json.loads(message.data)) if message.data[0] == "[" else frames.append(
                json.loads(message.data)
            )

    socket = await stage.http.ws_connect(f"{stage.sim.ws_url}/ws/market")
    listening = asyncio.create_task(listen(socket))
    await socket.send_json({"type": "market", "assets_ids": [stage.up]})
    world = stage.sim.world
    await wait_for("watch", lambda: world.tape.channel.watched((stage.up,)))
    _, placed = await trader.post(stage.up, 5, 10)
    assert placed["status"] == "live"
    await stage.advance(0.15)
    await asyncio.sleep(0.05)
    assert frames == []
    await stage.advance(0.05)
    await wait_for("both", lambda: len(frames) >= 2)
    assert [frame["event_type"] for frame in frames[:2]] == ["book", "price_change"]
    assert frames[1]["price_changes"][0]["price"] == "0.05"
    assert "0.05" not in [level["price"] for level in frames[0]["bids"]]
    async with stage.http.get(f"{stage.sim.url}/clob/book?token_id={stage.up}") as answer:
        assert "0.05" in [level["price"] for level in (await answer.json())["bids"]]
    await socket.close()
    await listening


async def test_prices_travel_too(make_stage):
    stage = await make_stage(feed_latency=Travel(1500 * MS))
    socket = await stage.http.ws_connect(f"{stage.sim.ws_url}/ws/prices")
    wanted = [{"topic": "crypto_prices_chainlink", "type": "update"}]
    await socket.send_json({"action": "subscribe", "subscriptions": wanted})
    hub = stage.sim.world.prices.hub
    while not any(client.wants for client in hub.clients):
        await asyncio.sleep(0.005)
    await stage.advance(1)
    with pytest.raises(TimeoutError):
        await socket.receive(timeout=0.1)
    await stage.advance(1.5)
    message = await socket.receive_json(timeout=5)
    assert message["payload"]["timestamp"] == stage.clock.now_ns() // MS - 1500
    await socket.close()


async def test_kill_9_forgets_what_was_on_its_way_and_nothing_else(tmp_path, unused_port):
    """One order was acknowledged; one was still travelling and was never taken."""
    env = os.environ | {
        "SIM_PORT": str(unused_port), "FLOOR_HOME": str(tmp_path), "SIM_LIQUIDITY": "model",
        "TRADING_MODE": "sim", "LOG_LEVEL": "ERROR",
    }  # fmt: skip
    url = f"http://127.0.0.1:{unused_port}"

    async def start(latency):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "venue.simulator", cwd=ROOT,
            env=env | {"ORDER_LATENCY": latency},
        )  # fmt: skip
        async with asyncio.timeout(60):
            while True:
                try:
                    async with http.get(url + "/admin/status") as answer:
                        return process, await answer.json()
                except aiohttp.ClientError:
                    assert process.returncode is None
                    await asyncio.sleep(0.05)

    async with aiohttp.ClientSession() as http:
        process, status = await start("constant:1s")
        assert status["order_latency"] == "constant:1000ms"
        trader = await Trader.log_in(url, http)
        async with http.get(url + "/clob/markets") as answer:
            markets = (await answer.json())["data"]
        token = max(markets, key=lambda m: m["end_date_iso"])["tokens"][0]["token_id"]
        first, second = trader.order(token, 5, 10), trader.order(token, 6, 10)
        _, taken = await trader.send("POST", "/order", first)
        travelling = asyncio.create_task(trader.send("POST", "/order", second))
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        with pytest.raises(aiohttp.ClientError):
            await travelling
        process, _ = await start("0")
        ledger = await trader.ledger()
        assert [order["order_id"] for order in ledger["orders"]] == [taken["orderID"]]
        assert ledger["wallets"][trader.address]["reserved_e6"] == 500_000
        status, again = await trader.send("POST", "/order", second)
        assert (status, again["status"]) == (200, "live")
        status, twice = await trader.send("POST", "/order", first)
        assert (status, twice["error"][-11:]) == (400, "Duplicated.")
        process.terminate()
        assert await process.wait() == 0
