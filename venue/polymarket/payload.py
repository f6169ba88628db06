"""A signed order as JSON, so that after a restart exactly the same one can be posted again."""

import dataclasses
from typing import Any

from polymarket.models.clob.orders import SignedOrder as SdkOrder

from models.errors import BadValue

_FIELDS = {field.name for field in dataclasses.fields(SdkOrder)}
_WHOLE = ("expiration", "maker_amount", "salt", "signature_type", "taker_amount", "timestamp")


def to_payload(order: SdkOrder) -> dict[str, Any]:
    """Plain JSON values; holds the signature, but neither key nor credential."""
    return {name: _plain(value) for name, value in dataclasses.asdict(order).items()}


def from_payload(payload: dict[str, Any]) -> SdkOrder:
    """Rebuild the signed order.

    Raises
    ------
    BadValue
        The payload is not one of ours, or not whole.
    """
    if set(payload) != _FIELDS:
        odd = ", ".join(sorted(set(payload) ^ _FIELDS))
        raise BadValue(f"the payload is not a signed order: missing or unknown {odd}")
    if any(type(payload[name]) is not int for name in _WHOLE):
        raise BadValue(f"the payload is not a signed order: {', '.join(_WHOLE)} must be integers")
    return SdkOrder(**payload)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value
