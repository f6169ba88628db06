"""Reading POST /order: from untrusted JSON to a verified order, or the venue's refusal.

Nothing here changes anything; what passes is well-formed, belongs to the API key and carries a
signature of its owner.
"""

from dataclasses import dataclass
from typing import Any

from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import PRICE_ONE
from venue.simulator.auth import ApiKey, parse_hex
from venue.simulator.eip712 import (
    EXCHANGE,
    NEG_RISK_EXCHANGE,
    SignedFields,
    order_digest,
    parse_address,
    recover,
    wrapped_order_digest,
    wrapped_trailer,
)
from venue.simulator.errors import Refusal, bad, not_found
from venue.simulator.wallets import DEPOSIT, PROXY, SIGNATURE_TYPES, wallets_of
from venue.simulator.windows import Window

MAX_AMOUNT_E6 = 10**15
"""Largest accepted amount: a thousand million pUSD or shares."""
V1_FIELDS = ("taker", "nonce", "feeRateBps")
OLD_VERSION = "invalid order version, please use the latest clob-client"
PAYLOAD = "Invalid order payload"
NO_BOOK = "No orderbook exists for the requested token id"
AMOUNT_SLACK = 100
"""How far, in e6 of cash, an amount may lie from price times size: clients round both."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A verified order, not yet in the book. Amounts in e6, price in e4 of its own token."""

    order_id: str
    key: ApiKey
    wallet: str
    condition_id: str
    token_id: str
    outcome: Outcome
    side: Side
    price_e4: int
    size_e6: int
    maker_amount_e6: int
    taker_amount_e6: int
    tif: TimeInForce
    post_only: bool
    expires_s: int


def token_of(payload: Any) -> str:
    """Token of an order's payload. Raises Refusal when there is no telling."""
    order = _order_of(payload)
    token = order.get("tokenId")
    if not isinstance(token, str) or not token.isascii() or not token.isdigit() or len(token) > 78:
        raise bad("Invalid token id")
    return token


def read_entry(payload: Any, key: ApiKey, window: Window | None) -> Entry:
    """Verify one order of a request that `key` signed.

    Raises
    ------
    Refusal
        With the venue's text for whatever is wrong first.
    """
    order = _order_of(payload)
    if payload.get("owner") != key.key:
        raise bad("the order owner has to be the owner of the API KEY")
    tif = _tif(payload.get("orderType"))
    post_only = payload.get("postOnly", False)
    if not isinstance(post_only, bool) or not isinstance(payload.get("deferExec", False), bool):
        raise bad(PAYLOAD)
    side = _side(order.get("side"))
    fields = _fields(order, side)
    _check_owner(fields, key)
    if window is None:
        raise not_found(NO_BOOK)
    exchange = NEG_RISK_EXCHANGE if window.market.neg_risk else EXCHANGE
    digest = order_digest(fields, exchange)
    _check_signature(fields, digest, parse_hex(order.get("signature")), key, exchange)
    order_id = "0x" + digest.hex()
    token = str(fields.token_id)
    price_e4, size_e6 = _price_and_size(side, fields, order_id)
    expires_s = _integer(order.get("expiration", "0"), 10**12)
    if (tif is TimeInForce.GTD) != (expires_s > 0):
        raise bad("invalid expiration")
    if post_only and tif.immediate:
        raise bad("invalid post-only order: only GTC and GTD orders can be post-only")
    return Entry(
        order_id=order_id,
        key=key,
        wallet=fields.maker,
        condition_id=window.condition_id,
        token_id=token,
        outcome=window.market.outcome(token),
        side=side,
        price_e4=price_e4,
        size_e6=size_e6,
        maker_amount_e6=fields.maker_amount,
        taker_amount_e6=fields.taker_amount,
        tif=tif,
        post_only=post_only,
        expires_s=expires_s,
    )


def _order_of(payload: Any) -> dict[str, Any]:
    if not isinstance(payload, dict) or not isinstance(payload.get("order"), dict):
        raise bad(PAYLOAD)
    order: dict[str, Any] = payload["order"]
    if any(name in order for name in V1_FIELDS) and "timestamp" not in order:
        raise bad(OLD_VERSION)
    return order


def _tif(value: object) -> TimeInForce:
    if isinstance(value, str) and value in TimeInForce.__members__:
        return TimeInForce(value)
    raise bad(PAYLOAD)


def _side(value: object) -> Side:
    if value in ("BUY", "SELL"):
        return Side(value)
    raise bad("Invalid side")


def _integer(value: object, limit: int) -> int:
    """A whole number of at most `limit`, sent as text or as a JSON number."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise bad(PAYLOAD)
    if isinstance(value, str):
        if not value.isascii() or not value.isdigit() or len(value) > 80:
            raise bad(PAYLOAD)
        value = int(value)
    if not 0 <= value <= limit:
        raise bad(PAYLOAD)
    return value


def _fields(order: dict[str, Any], side: Side) -> SignedFields:
    maker, signer = parse_address(order.get("maker")), parse_address(order.get("signer"))
    metadata, builder = parse_hex(order.get("metadata")), parse_hex(order.get("builder"))
    if maker is None or signer is None or metadata is None or builder is None:
        raise bad(PAYLOAD)
    if len(metadata) != 32 or len(builder) != 32:
        raise bad(PAYLOAD)
    signature_type = order.get("signatureType")
    if isinstance(signature_type, bool) or signature_type not in SIGNATURE_TYPES:
        raise bad("Invalid signature_type")
    token = order.get("tokenId")
    if not isinstance(token, str):
        raise bad("Invalid token id")
    maker_amount = _integer(order.get("makerAmount"), MAX_AMOUNT_E6)
    taker_amount = _integer(order.get("takerAmount"), MAX_AMOUNT_E6)
    if not maker_amount or not taker_amount:
        raise bad(PAYLOAD)
    return SignedFields(
        salt=_integer(order.get("salt"), 2**256 - 1),
        maker=maker,
        signer=signer,
        token_id=_integer(token, 2**256 - 1),
        maker_amount=maker_amount,
        taker_amount=taker_amount,
        side=0 if side is Side.BUY else 1,
        signature_type=int(signature_type),
        timestamp_ms=_integer(order.get("timestamp"), 10**15),
        metadata=metadata,
        builder=builder,
    )


def _check_owner(fields: SignedFields, key: ApiKey) -> None:
    if fields.signature_type == DEPOSIT:
        if fields.maker != fields.signer:
            raise bad("invalid signature")
    elif fields.signer != key.address:
        raise bad("the order signer address has to be the address of the API KEY")
    if fields.maker not in wallets_of(key.address, fields.signature_type):
        raise bad(
            "invalid POLY_PROXY signature"
            if fields.signature_type == PROXY
            else "invalid signature"
        )


def _check_signature(
    fields: SignedFields, digest: bytes, signature: bytes | None, key: ApiKey, exchange: str
) -> None:
    if signature is None:
        raise bad("invalid signature")
    if fields.signature_type == DEPOSIT:
        digest = wrapped_order_digest(fields, exchange)
        if signature[65:] != wrapped_trailer(fields, exchange):
            raise bad("invalid signature")
        signature = signature[:65]
    if recover(digest, signature) != key.address:
        raise bad("invalid signature")


def _price_and_size(side: Side, fields: SignedFields, order_id: str) -> tuple[int, int]:
    """Limit price (nearest e4) and shares; amounts must agree with the price to the cent-ish."""
    cash, shares = fields.maker_amount, fields.taker_amount
    if side is Side.SELL:
        cash, shares = shares, cash
    price_e4 = (2 * cash * PRICE_ONE + shares) // (2 * shares)
    if not 0 < price_e4 < PRICE_ONE:
        raise bad(f"order {order_id} is invalid. Price ({cash / shares:.6g}) out of range")
    if abs(cash * PRICE_ONE - price_e4 * shares) > AMOUNT_SLACK * PRICE_ONE:
        raise Refusal(400, "Invalid order payload, price has more than 4 decimals")
    return price_e4, shares
