"""Small print of the wire: frame rates and close codes, price history, warnings, who is told."""

import asyncio

import aiohttp
import pytest
from polymarket.models.data.analytics import PriceHistoryPoint

from venue.simulator.limits import RATES, Limits
from venue.simulator.ws_live import MAX_FRAMES, RESTARTING, TOO_MANY_FRAMES

from .conftest import START_S


async def test_polybolt_ends_the_connection_of_who_sends_too_many_frames(make_stage):
    stage = await make_stage()
    socket = await stage.http.ws_connect(f"{stage.sim.ws_url}/ws/live")
    for _ in range(MAX_FRAMES + 1):
        await socket.send_str("PING")
    answers = [message.data async for message in socket]
    assert set(answers) <= {"PONG"}
    assert len(answers) <= MAX_FRAMES
    assert socket.close_code == TOO_MANY_FRAMES


async def test_polybolt_says_that_it_will_be_back_when_the_venue_goes(make_stage):
    stage = await make_stage()
    live = await stage.http.ws_connect(f"{stage.sim.ws_url}/ws/live")
    market = await stage.http.ws_connect(f"{stage.sim.ws_url}/ws/market")
    closing = asyncio.create_task(stage.sim.close())
    for socket, code in ((live, RESTARTING), (market, aiohttp.WSCloseCode.GOING_AWAY)):
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == code
    await closing


async def get(stage, query):
    url = f"{stage.sim.url}/data/v2/prices-history?{query}"
    async with stage.http.get(url) as answer:
        return answer.status, await answer.json()


async def test_price_history_has_one_point_a_bucket_and_mirrors_down(make_stage):
    stage = await make_stage(at_s=START_S)
    market = stage.window.market
    for _ in range(30):
        await stage.advance(10)
    span = f"start={START_S}&end={START_S + 300}"
    _, up = await get(stage, f"token_id={market.up_token}&{span}")
    times = [point["timestamp"] for point in up["data"]]
    assert times == list(range(START_S, START_S + 301, 60))
    assert {point["resolution_seconds"] for point in up["data"]} == {60}
    _, down = await get(stage, f"token_id={market.down_token}&{span}")
    for one, other in zip(up["data"], down["data"], strict=True):
        assert one["price"] + other["price"] == pytest.approx(1)
    _, wide = await get(stage, f"token_id={market.up_token}&interval=1h&bucket_seconds=300")
    assert [point["timestamp"] for point in wide["data"]] == [START_S, START_S + 300]
    _, exact = await get(stage, f"token_id={market.up_token}&as_of={START_S + 65}")
    (point,) = exact["data"]
    assert point["timestamp"] <= START_S + 65
    assert point["resolution_seconds"] == 0
    _, page = await get(stage, f"token_id={market.up_token}&{span}&limit=2")
    assert page["data"] == up["data"][:2]
    following = page["pagination"]["next_cursor"]
    _, rest = await get(stage, f"token_id={market.up_token}&{span}&cursor={following}")
    assert page["data"] + rest["data"] == up["data"]
    read = PriceHistoryPoint.parse_response_list(up["data"])
    assert [round(point.timestamp.timestamp()) for point in read] == times


@pytest.mark.parametrize("query", ["", "token_id=1", "token_id=UP&interval=2h",
                                   "token_id=UP&start=1&end=99999999"])  # fmt: skip
async def test_a_history_that_cannot_be_is_refused(make_stage, query):
    stage = await make_stage()
    status, answer = await get(stage, query.replace("UP", stage.up))
    assert status == 400
    assert answer["error"]


def test_a_nearly_empty_bucket_warns():
    rate, burst = RATES["order"]
    limits = Limits()
    told = [limits.charge("order", "me", 1, 0) for _ in range(int(burst))]
    warned = ["Poly-RateLimit-Warning" in headers for headers in told]
    assert warned == sorted(warned)
    assert sum(warned) == pytest.approx(burst * 0.1, abs=1)
    assert f"{rate:.0f}/s" in told[-1]["Poly-RateLimit-Warning"]
