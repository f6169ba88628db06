"""The price stream's frames to spot ticks.

Quirks handled here: a history snapshot may carry another topic's label (it is skipped whole),
Chainlink values come as integers of 1e-18 dollars and Binance ones as decimals, ``value`` is a
rounded double, and errors come as bodies without a topic.
"""

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from models.errors import BadValue
from models.events import SpotSource, SpotTick
from models.units import to_spot_e8
from venue.polymarket.numbers import epoch_ns

TOPICS = {
    "crypto_prices_chainlink": SpotSource.CHAINLINK,
    "crypto_prices": SpotSource.BINANCE,
    "crypto_prices_twap_sixty": SpotSource.TWAP_60,
}
_QUOTES = ("/usd", "usdt", "usd")
_E18 = Decimal(10) ** 18
_AGREE = Decimal("0.001")


class Payload(msgspec.Struct):
    symbol: str = ""
    timestamp: str | int = ""
    value: Decimal | None = None
    full_accuracy_value: str | int | None = None


class Message(msgspec.Struct):
    topic: str = ""
    type: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"{}")


_messages = msgspec.json.Decoder(Message | list[Message])
_payloads = msgspec.json.Decoder(Payload)


def subscribe_frames() -> list[bytes]:
    """One frame per topic, without filters: one unknown topic spoils its whole frame, and a
    filter with a space in it silently matches nothing."""
    return [
        msgspec.json.encode(
            {"action": "subscribe", "subscriptions": [{"topic": topic, "type": "update"}]}
        )
        for topic in TOPICS
    ]


def decode_ticks(frame: bytes | str, recv_ns: int) -> tuple[list[SpotTick], int]:
    """Decode one frame; messages of other topics and kinds are passed over.

    Returns
    -------
    The ticks in it, and how many messages of ours could not be read.
    """
    if not frame.strip():
        return [], 0
    try:
        decoded = _messages.decode(frame)
    except (msgspec.DecodeError, UnicodeError):
        return [], 1
    ticks: list[SpotTick] = []
    bad = 0
    for message in decoded if isinstance(decoded, list) else [decoded]:
        source = TOPICS.get(message.topic)
        if source is None or message.type != "update":
            # An error body has no topic; anything else is a topic or kind we did not ask for.
            bad += not message.topic
            continue
        try:
            ticks.append(_tick(source, _payloads.decode(message.payload), recv_ns))
        except (msgspec.DecodeError, ValueError, InvalidOperation):
            bad += 1
    return ticks, bad


def _tick(source: SpotSource, payload: Payload, recv_ns: int) -> SpotTick:
    return SpotTick(
        ts_ns=epoch_ns(payload.timestamp) or recv_ns,
        recv_ns=recv_ns,
        asset=asset_of(payload.symbol),
        source=source,
        price_e8=_price_e8(source, payload),
    )


def asset_of(symbol: str) -> str:
    """Upper-case base asset of ``btc/usd`` or ``btcusdt``."""
    lowered = symbol.lower()
    for quote in _QUOTES:
        if lowered.endswith(quote) and len(lowered) > len(quote):
            return lowered.removesuffix(quote).upper()
    raise BadValue(f"symbol {symbol!r} is not quoted in dollars")


def _price_e8(source: SpotSource, payload: Payload) -> int:
    """The exact value, or the rounded one where the exact one is missing or contradicts it."""
    exact = _exact(source, payload.full_accuracy_value)
    rounded = payload.value
    if exact is not None and (rounded is None or abs(exact - rounded) <= abs(rounded) * _AGREE):
        chosen = exact
    elif rounded is not None:
        chosen = rounded
    else:
        raise BadValue("no value")
    price = to_spot_e8(chosen)
    if price <= 0:
        raise BadValue(f"price {chosen} is not above zero")
    return price


def _exact(source: SpotSource, text: Any) -> Decimal | None:
    if text in (None, ""):
        return None
    value = Decimal(str(text))
    return value if source is SpotSource.BINANCE else value / _E18
