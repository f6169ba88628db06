"""Our messages against recorded ones: every recorded key is there, with the same kind of value.

Keys only we send, or only the samples have, are listed below with the reason.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from models.settings import Settings

from .test_official_client import items

IMAGES = {"image", "icon"}
MISSING = {
    "gamma_market": {
        # Old statistics and flags of the venue's website, read by no trading client.
        "volume24hr", "volume1wk", "volume1mo", "volume1yr", "volume24hrClob", "volume1wkClob",
        "volume1moClob", "volume1yrClob", "liquidityClob", "hasReviewedDates", "ready", "funded",
        "cyom", "competitive", "pagerDutyNotificationEnabled", "approved", "rewardsMinSize",
        "rewardsMaxSpread", "automaticallyActive", "clearBookOnStart", "showGmpSeries",
        "showGmpOutcome", "manualActivation", "negRiskOther", "pendingDeployment", "deploying",
        "rfqEnabled", "holdingRewardsEnabled", "requiresTranslation", "makerRebatesFeeShareBps",
        "groupItemThreshold",
    },
    "data_trade": set(),
}  # fmt: skip
EXTRA = {
    "gamma_market": {
        # Added by the venue after the sample was recorded.
        "feeSchedule", "version", "cryptoMarketConfig",
    },
    "clob_book": {"min_order_size", "tick_size", "neg_risk", "last_trade_price"},
    "ws_book": {"min_order_size", "tick_size", "neg_risk", "last_trade_price"},
    "rest_trade": {"match_time_nano", "err_msg"},
}  # fmt: skip
"""Keys of today's wire that the older samples do not have."""


@pytest.fixture(scope="module")
def samples() -> Path:
    folder = Settings().floor_data_dir / "polymarket_api_samples"
    assert folder.is_dir(), f"the recorded samples are missing: {folder}"
    return folder


def load(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__


def compare(ours: dict, sample: dict, name: str) -> None:
    """Same keys but for the listed ones; same kinds where neither value is null."""
    missing = set(sample) - set(ours) - MISSING.get(name, set()) - IMAGES
    extra = set(ours) - set(sample) - EXTRA.get(name, set()) - IMAGES
    assert not missing, f"{name}: keys of the sample that we lack: {sorted(missing)}"
    assert not extra, f"{name}: keys that only we send: {sorted(extra)}"
    stale = (MISSING.get(name, set()) & set(ours)) | (EXTRA.get(name, set()) & set(sample))
    assert not stale, f"{name}: listed as different, but both have them: {sorted(stale)}"
    for key in set(ours) & set(sample):
        if ours[key] is None or sample[key] is None:
            continue
        assert kind(ours[key]) == kind(sample[key]), f"{name}.{key}: {ours[key]!r}"


async def get(stage, path: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(stage.url + path) as response:
        assert response.status == 200
        return await response.json()


async def test_rest_shapes(stage, samples):
    slug = stage.window.market.slug
    await stage.advance(30)
    compare(
        await get(stage, f"/gamma/markets/slug/{slug}"),
        load(samples, "http_responses/gamma_market.json"), "gamma_market",
    )  # fmt: skip
    compare(
        await get(stage, f"/clob/book?token_id={stage.up}"),
        load(samples, "http_responses/book.json"), "clob_book",
    )  # fmt: skip
    compare(
        await get(stage, f"/clob/markets/{stage.window.condition_id}"),
        load(samples, "http_responses/market.json"), "clob_market",
    )  # fmt: skip
    (row, *_) = await get(stage, "/data/trades?limit=1")
    compare(row, load(samples, "http_responses/trades.json")[0], "data_trade")


async def test_market_channel_shapes(stage, samples):
    got: dict[str, dict] = {}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stage.sim.ws_url + "/ws/market") as socket,
    ):
        await socket.send_json({"type": "market", "assets_ids": [stage.up, stage.down]})
        got["book"] = (await socket.receive_json(timeout=5))[0]
        await stage.advance(20)
        while not {"price_change", "last_trade_price"} <= set(got):
            message = await socket.receive_json(timeout=5)
            got.setdefault(message["event_type"], message)
        await stage.fault("tick-change", slug=stage.window.market.slug, tick="0.001")
        while "tick_size_change" not in got:
            message = await socket.receive_json(timeout=5)
            got.setdefault(message["event_type"], message)
    compare(got["book"], load(samples, "ws_messages/book.json"), "ws_book")
    change = load(samples, "ws_messages/price_change_v2.json")
    compare(got["price_change"], change, "price_change")
    compare(got["price_change"]["price_changes"][0], change["price_changes"][0], "price_change")
    for name in ("last_trade_price", "tick_size_change"):
        compare(got[name], load(samples, f"ws_messages/{name}.json"), name)


async def test_user_channel_shapes(stage, client, samples):
    key = client.credentials
    auth = {"apiKey": key.key, "secret": key.secret, "passphrase": key.passphrase}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stage.sim.ws_url + "/ws/user") as socket,
    ):
        await socket.send_json({"type": "user", "auth": auth, "markets": []})
        await asyncio.sleep(0.05)
        placed = await client.place_limit_order(
            asset_id=stage.up, price="0.05", size="5", side="BUY"
        )
        placement = await socket.receive_json(timeout=5)
        await client.cancel_order(order_id=placed.order_id)
        cancellation = await socket.receive_json(timeout=5)
        await client.place_market_order(asset_id=stage.up, side="BUY", amount="5")
        while (trade := await socket.receive_json(timeout=5))["event_type"] != "trade":
            pass
    compare(placement, load(samples, "ws_messages/order_placement.json"), "order_placement")
    compare(cancellation, load(samples, "ws_messages/order_cancel.json"), "order_cancel")
    sample = load(samples, "ws_messages/user_trade3.json")
    compare(trade, sample, "user_trade")
    compare(trade["maker_orders"][0], sample["maker_orders"][0], "user_trade")
    rest = load(samples, "ws_messages/trades.json")
    secure = client._ctx.secure_clob
    (row, *_) = (await secure.get_json("/data/trades"))["data"]
    compare(row, rest, "rest_trade")
    assert len(await items(client.list_account_trades())) >= 1
