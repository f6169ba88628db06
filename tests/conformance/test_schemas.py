"""Our messages against recorded ones: the same keys at any depth, with the same kinds of values.

Every deliberate difference is listed with its reason, and one that is no difference any more is
an error too.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from models.settings import Settings

from .schema import differences

NEWER = "the venue added it after the sample was recorded"
SINCE_V2 = "today's /book and its frames carry it (fact sheet 3.3)"
NO_REWARDS = "no liquidity rewards run in the simulator, so a market has no daily rates"
OTHER_KINDS = "of negative-risk, election or UMA-resolved events, which a crypto window is not"
QUIET = "price changes over a day, a week and a month; a window lives for minutes"
MADE_UP = "the sample is an excerpt written by hand: a list in place of the JSON string on the wire"

UNITS = "seconds in the two samples of 2025, milliseconds in the others and in the documentation"

GAMMA_TODAY = {
    "+ feeSchedule": NEWER,
    "+ version": NEWER,
    "+ cryptoMarketConfig": NEWER,
}
LISTED: dict[str, dict[str, str]] = {
    "http_responses/gamma_market.json": GAMMA_TODAY | {
        "+ events[].eventMetadata": "the price to beat; the sample's window had not begun",
    },
    "http_responses/gamma_event.json": {
        key.replace("+ ", "+ markets[]."): reason for key, reason in GAMMA_TODAY.items()
    } | {
        "+ eventMetadata": "of windows: the price to beat",
        "+ series": "windows belong to a series",
        "+ seriesSlug": "windows belong to a series",
        "+ markets[].eventStartTime": "of windows",
        "+ markets[].makerBaseFee": "the sample's market was free of fees",
        "+ markets[].takerBaseFee": "the sample's market was free of fees",
        "+ markets[].makerRebatesFeeShareBps": "the sample's market was free of fees",
        "- markets[].clobRewards": NO_REWARDS,
    } | dict.fromkeys((
        "- countryName", "- cumulativeMarkets", "- deployingTimestamp", "- electionType",
        "- estimateValue", "- gmpChartMode", "- negRiskMarketID", "- sortBy",
        "- markets[].customLiveness", "- markets[].deployingTimestamp",
        "- markets[].groupItemTitle", "- markets[].negRiskMarketID",
        "- markets[].negRiskRequestID", "- markets[].resolvedBy", "- markets[].seriesColor",
        "- markets[].submitted_by", "- markets[].umaBond", "- markets[].umaReward",
    ), OTHER_KINDS) | dict.fromkeys((
        "- markets[].oneDayPriceChange", "- markets[].oneWeekPriceChange",
        "- markets[].oneMonthPriceChange",
    ), QUIET),
    "http_responses/market_slug.json": {
        "- clobTokenIds[]": MADE_UP, "~ clobTokenIds: json string": MADE_UP,
    },
    "http_responses/markets_list.json": {
        "- clobTokenIds[]": MADE_UP, "~ clobTokenIds: json string": MADE_UP,
        "- questionId": "the excerpt's spelling; on the wire it is questionID",
    },
    "http_responses/book.json": dict.fromkeys(
        ("+ min_order_size", "+ tick_size", "+ neg_risk", "+ last_trade_price"), SINCE_V2
    ),
    "http_responses/market.json": {"- rewards.rates[]": NO_REWARDS},
    "http_responses/markets.json": {"- data[].rewards.rates[]": NO_REWARDS},
    "ws_messages/user_trade1.json": {"+ maker_orders[].side": NEWER},
    "ws_messages/user_trade2.json": {"+ maker_orders[].side": NEWER},
    "ws_messages/user_trade3.json": {"~ timestamp: milliseconds string": UNITS},
    "ws_messages/user_trade4.json": {"~ timestamp: milliseconds string": UNITS},
    "ws_messages/trades.json": {
        "+ maker_orders[].side": NEWER, "+ match_time_nano": NEWER, "+ err_msg": NEWER,
    },
    "ws_messages/book.json": dict.fromkeys(
        ("+ min_order_size", "+ tick_size", "+ neg_risk", "+ last_trade_price"), SINCE_V2
    ),
}  # fmt: skip
EXCERPTS = {
    "http_responses/event.json", "http_responses/events_list.json",
    "http_responses/market_slug.json", "http_responses/markets_list.json",
}  # fmt: skip
"""Samples with a few keys of many: what only we send says nothing there."""
NOT_SENT = {
    "ws_messages/price_change.json": "the flat form, which the venue gave up on 2025-09-15",
}
SLUG, CONDITION, TOKEN = "{slug}", "{condition}", "{token}"
REST = {
    "gamma_market": f"/gamma/markets/slug/{SLUG}",
    "gamma_event": f"/gamma/events/slug/{SLUG}",
    "event": f"/gamma/events/slug/{SLUG}",
    "events_list": f"/gamma/events?slug={SLUG}",
    "market_slug": f"/gamma/markets/slug/{SLUG}",
    "markets_list": f"/gamma/markets?slug={SLUG}",
    "book": f"/clob/book?token_id={TOKEN}",
    "market": f"/clob/markets/{CONDITION}",
    "markets": "/clob/markets",
    "trades": "/data/trades?limit=50",
}
MARKET_CHANNEL = {
    "book": "book",
    "price_change": "price_change_v2",
    "last_trade_price": "last_trade_price",
    "tick_size_change": "tick_size_change",
}
USER_ORDERS = {"PLACEMENT": "order_placement", "CANCELLATION": "order_cancel"}
USER_TRADES = ("user_trade1", "user_trade2", "user_trade3", "user_trade4")
PRIVATE_TRADES = "trades"


@pytest.fixture(scope="module")
def samples() -> Path:
    folder = Settings().floor_data_dir / "polymarket_api_samples"
    assert folder.is_dir(), f"the recorded samples are missing: {folder}"
    return folder


def compare(samples: Path, name: str, ours: list[Any]) -> None:
    """Our messages of one kind differ from the sample's in what is listed, and in all of that."""
    sample = json.loads((samples / name).read_text())
    found = differences(ours, sample if isinstance(sample, list) else [sample])
    if name in EXCERPTS:
        found = {difference for difference in found if not difference.startswith("+")}
    listed = set(LISTED.get(name, {}))
    assert ours, f"{name}: nothing of ours to compare"
    assert found - listed == set(), f"{name}: differences that are not listed"
    assert listed - found == set(), f"{name}: listed as different, but they are not"


async def get(stage: Any, path: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(stage.url + path) as response:
        assert response.status == 200
        return await response.json()


@pytest.mark.parametrize("name", list(REST))
async def test_rest_shapes(stage: Any, samples: Path, name: str) -> None:
    await stage.advance(30)
    window = stage.window
    path = REST[name].format(slug=window.market.slug, condition=window.condition_id, token=stage.up)
    answer = await get(stage, path)
    ours = answer if isinstance(answer, list) else [answer]
    compare(samples, f"http_responses/{name}.json", ours)


async def heard(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    """Everything the socket was sent up to now, arrays taken apart."""
    await socket.send_str("PING")
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(5):
        async for message in socket:
            if message.data == "PONG":
                break
            body = json.loads(message.data)
            found += body if isinstance(body, list) else [body]
    return found


async def test_market_channel_shapes(stage: Any, samples: Path) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stage.sim.ws_url + "/ws/market") as socket,
    ):
        await socket.send_json({"type": "market", "assets_ids": [stage.up, stage.down]})
        await heard(socket)
        await stage.advance(20)
        await stage.fault("tick-change", slug=stage.window.market.slug, tick="0.001")
        await socket.send_json({"operation": "unsubscribe", "assets_ids": [stage.up]})
        await socket.send_json({"operation": "subscribe", "assets_ids": [stage.up]})
        messages = await heard(socket)
    for event, name in MARKET_CHANNEL.items():
        ours = [message for message in messages if message["event_type"] == event]
        compare(samples, f"ws_messages/{name}.json", ours)


async def test_user_channel_and_private_trade_shapes(
    stage: Any, client: Any, samples: Path
) -> None:
    key = client.credentials
    auth = {"apiKey": key.key, "secret": key.secret, "passphrase": key.passphrase}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stage.sim.ws_url + "/ws/user") as socket,
    ):
        await socket.send_json({"type": "user", "auth": auth, "markets": []})
        await heard(socket)
        placed = await client.place_limit_order(
            asset_id=stage.up, price="0.05", size="5", side="BUY"
        )
        await client.cancel_order(order_id=placed.order_id)
        await client.place_market_order(asset_id=stage.up, side="BUY", amount="50")
        await stage.advance(6)
        messages = await heard(socket)
    of_orders = [message for message in messages if message["event_type"] == "order"]
    trades = [message for message in messages if message["event_type"] == "trade"]
    assert {message["status"] for message in trades} == {"MATCHED", "MINED", "CONFIRMED"}
    for kind, name in USER_ORDERS.items():
        ours = [message for message in of_orders if message["type"] == kind]
        compare(samples, f"ws_messages/{name}.json", ours)
    for name in USER_TRADES:
        compare(samples, f"ws_messages/{name}.json", trades)
    rows = (await client._ctx.secure_clob.get_json("/data/trades"))["data"]
    compare(samples, f"ws_messages/{PRIVATE_TRADES}.json", rows)


def test_every_sample_is_compared_or_said_not_to_be(samples: Path) -> None:
    there = {str(path.relative_to(samples)) for path in samples.glob("*/*.json")}
    told = (*MARKET_CHANNEL.values(), *USER_ORDERS.values(), *USER_TRADES, PRIVATE_TRADES)
    compared = {f"http_responses/{name}.json" for name in REST}
    compared |= {f"ws_messages/{name}.json" for name in told}
    assert compared | set(NOT_SENT) == there
    assert set(LISTED) <= compared


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ({"a": "1", "l": [{"k": 1}]}, set()),
        ({"l": [{"k": 1}]}, {"- a"}),
        ({"a": "1", "l": [{"k": 1, "n": {"m": 2}}]}, {"+ l[].n"}),
        ({"a": 1, "l": [{"k": 1}]}, {"~ a: number"}),
        ({"a": "1700000000000", "l": [{"k": 1}]}, {"~ a: milliseconds string"}),
        ({"a": None, "l": []}, {"- l[]"}),
        ({"a": "", "l": [{"k": True}]}, {"~ l[].k: bool"}),
    ],
)
def test_differences_are_seen_at_any_depth(ours: dict[str, Any], expected: set[str]) -> None:
    assert differences([ours], [{"a": "2.5", "l": [{"k": 7}, {"k": 8}]}]) == expected
