"""What is noted of a decision: the wish, the order it became, and what was seen."""

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any

from engine.view import MarketView
from models.markets import Outcome
from models.orders import OrderRequest
from models.units import PRICE_ONE
from strategies.base import Intent, Place

_WANTED = frozenset({"price_e4", "size_e6", "budget_e6"})


def told(intent: Intent) -> dict[str, Any]:
    """What the strategy asked for; values of the wrong kind as text, so that JSON can hold them.

    Of a `Place` the price, size and budget are noted as wanted: the order's own stand beside them.
    What was not said is left out, but for these three.
    """
    wish = {one.name: getattr(intent, one.name) for one in fields(intent)}
    if isinstance(intent, Place):
        wish = {f"wanted_{name}" if name in _WANTED else name: wish[name] for name in wish}
    return {
        name: _plain(value)
        for name, value in wish.items()
        if value is not None or name.removeprefix("wanted_") in _WANTED
    }


def sent(request: OrderRequest) -> dict[str, Any]:
    """The order that goes out."""
    return {
        "intent_id": request.intent_id,
        "outcome": request.outcome.value,
        "side": request.side.value,
        "price_e4": request.price_e4,
        "size_e6": request.size_e6,
    }


def seen(view: MarketView) -> Mapping[str, Any]:
    """What the decision was made on."""
    book = view.up
    return {
        "now_ns": view.now_ns,
        "up_bid": None if book.bid_e4 is None else book.bid_e4 / PRICE_ONE,
        "up_ask": None if book.ask_e4 is None else book.ask_e4 / PRICE_ONE,
        "spot": view.spot,
        "strike": view.strike,
        "up_e6": view.position_e6(Outcome.UP),
        "down_e6": view.position_e6(Outcome.DOWN),
    }


def _plain(value: object) -> object:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and isfinite(value):
        return value
    return str(value).encode("utf-8", "replace").decode()
