"""API keys: derived, kept, revoked, renewed; and a venue that is not there."""

import logging
import stat
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from models.errors import ConfigError, VenueRejected, VenueUnavailable, VenueUnknown
from models.markets import Market
from models.orders import OrderRequest, OrderState
from models.settings import Settings
from venue.polymarket.client import PolymarketVenue

Build = Callable[..., OrderRequest]


@pytest.fixture
async def venue(settings: Settings, scripted: Any) -> AsyncIterator[PolymarketVenue]:
    connected = await PolymarketVenue.connect(settings, 7, "tester", where=scripted.where)
    scripted.heard.clear()
    yield connected
    await connected.close()


def key(name: str) -> dict[str, str]:
    return {"apiKey": name, "secret": "c2VjcmV0LXNlY3JldA==", "passphrase": "p4ssphr4se"}


async def test_a_key_is_derived_not_created_and_kept_for_the_next_start(
    settings: Settings, scripted: Any
) -> None:
    first = await PolymarketVenue.connect(settings, 7, "t", where=scripted.where)
    await first.close()
    assert len(scripted.calls("GET /auth/derive-api-key")) == 1
    assert scripted.calls("POST /auth/api-key") == []
    second = await PolymarketVenue.connect(settings, 7, "t", where=scripted.where)
    await second.close()
    assert len(scripted.calls("GET /auth/derive-api-key")) == 1, "the kept key was used"
    kept = list((settings.floor_home / "credentials").glob("api-key-*.json"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept] == [0o600]


async def test_a_key_is_created_only_when_there_is_none(settings: Settings, scripted: Any) -> None:
    scripted.plays["GET /auth/derive-api-key"] = [(400, {"error": "Could not derive api key!"})]
    scripted.plays["POST /auth/api-key"] = [(200, key("new"))]
    scripted.plays["GET /auth/api-keys"] = [(200, {"apiKeys": ["new"]})]
    venue = await PolymarketVenue.connect(settings, 7, "t", where=scripted.where)
    assert venue.credentials.key == "new"
    await venue.close()


async def test_agents_have_keys_of_their_own(settings: Settings, scripted: Any) -> None:
    nonces: list[str] = []

    def derive(request: web.Request, _body: Any) -> tuple[int, Any]:
        nonces.append(request.headers["POLY_NONCE"])
        return 200, key(f"key-{nonces[-1]}")

    scripted.plays["GET /auth/derive-api-key"] = [derive]
    scripted.plays["GET /auth/api-keys"] = [(200, {"apiKeys": ["key-1", "key-4294967295"]})]
    for nonce in (1, 4_294_967_295):
        venue = await PolymarketVenue.connect(settings, nonce, "t", where=scripted.where)
        assert venue.credentials.key == f"key-{nonce}"
        await venue.close()
    assert nonces == ["1", "4294967295"]


@pytest.mark.parametrize("check", [(401, {"error": "Unauthorized/Invalid api key"}),
                                   (200, {"apiKeys": []})])  # fmt: skip
async def test_a_kept_key_that_was_revoked_is_replaced_at_start(
    settings: Settings, scripted: Any, check: Any
) -> None:
    await (await PolymarketVenue.connect(settings, 7, "t", where=scripted.where)).close()
    scripted.plays["GET /auth/derive-api-key"] = [(200, key("fresh"))]
    scripted.plays["GET /auth/api-keys"] = [check, (200, {"apiKeys": ["fresh"]})]
    venue = await PolymarketVenue.connect(settings, 7, "t", where=scripted.where)
    assert venue.credentials.key == "fresh"
    await venue.close()


async def test_a_key_revoked_while_trading_is_renewed_and_the_order_sent_once_more(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build
) -> None:
    order = await venue.sign(request_of(), market)
    accepted = {"success": True, "errorMsg": "", "orderID": order.order_id, "status": "live",
                "makingAmount": "", "takingAmount": ""}  # fmt: skip
    scripted.plays["POST /order"] = [(401, {"error": "Unauthorized/Invalid api key"}),
                                     (200, accepted)]  # fmt: skip
    scripted.plays["GET /auth/derive-api-key"] = [(200, key("fresh"))]
    assert (await venue.submit(order)).state is OrderState.LIVE
    owners = [heard.body["owner"] for heard in scripted.calls("POST /order")]
    assert owners[-1] == "fresh" != owners[0]


async def test_a_key_refused_for_good_is_an_auth_rejection(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build
) -> None:
    scripted.plays["POST /order"] = [(401, {"error": "Unauthorized/Invalid api key"})]
    with pytest.raises(VenueRejected) as caught:
        await venue.submit(await venue.sign(request_of(), market))
    assert caught.value.code == "auth"
    scripted.plays["GET /auth/derive-api-key"] = [(503, {"error": "x"})]
    with pytest.raises(VenueUnavailable, match="cannot be renewed"):
        await venue.submit(await venue.sign(request_of(), market))


async def test_a_wallet_the_venue_gives_no_key_is_a_config_error(
    settings: Settings, scripted: Any
) -> None:
    scripted.plays["GET /auth/derive-api-key"] = [(400, {"error": "Could not derive api key!"})]
    scripted.plays["POST /auth/api-key"] = [(400, {"error": "Could not create api key"})]
    with pytest.raises(ConfigError, match="nonce 7"):
        await PolymarketVenue.connect(settings, 7, "t", where=scripted.where)


async def test_a_venue_that_is_away_at_start_is_unknown(settings: Settings) -> None:
    with pytest.raises(VenueUnknown):
        await PolymarketVenue.connect(settings, 7, "t")


async def test_nothing_secret_is_logged_or_shown(
    settings: Settings, scripted: Any, market: Market, request_of: Build,
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    scripted.plays["GET /auth/derive-api-key"] = [(200, key("k"))]
    scripted.plays["GET /auth/api-keys"] = [(200, {"apiKeys": ["k"]})]
    venue = await PolymarketVenue.connect(settings, 7, "t", where=scripted.where)
    scripted.plays["POST /order"] = [(400, {"error": "invalid signature"})]
    with pytest.raises(VenueRejected) as caught:
        await venue.submit(await venue.sign(request_of(), market))
    folder = settings.floor_home / "credentials"
    private_key = (folder / "simulated-wallet.key").read_text()
    creds = venue.credentials
    seen = caplog.text + "".join(capsys.readouterr()) + repr(caught.value) + repr(creds)
    for secret in (private_key, private_key[2:], creds.secret, creds.passphrase):
        assert secret not in seen
    await venue.close()


async def test_nobody_listening_is_unknown(
    venue: PolymarketVenue, settings: Settings, market: Market, request_of: Build, scripted: Any
) -> None:
    order = await venue.sign(request_of(), market)
    venue._session.client._ctx.secure_clob._client.base_url = "http://127.0.0.1:1"
    with pytest.raises(VenueUnknown):
        await venue.submit(order)
