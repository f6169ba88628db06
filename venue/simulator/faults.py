"""Faults by name: the ways in which the venue has been seen to fail, on demand.

A fault lasts for some seconds, for a number of requests, or until it is cleared.
"""

from dataclasses import dataclass
from typing import Any

from models.units import SECOND_NS
from venue.simulator.errors import Refusal, bad

NAMES = {
    "engine-restart": "425 on order endpoints for `seconds` (90), then post-only for 120 s",
    "post-only": "503 for everything but post-only orders and cancels, `seconds` (120)",
    "cancel-only": "503 for new orders, cancels work",
    "trading-disabled": "503 for orders and cancels",
    "closed-only": "the account may only close positions: BUY orders are refused",
    "rate-limit": "429 with Retry-After `retry_after` (2) on order endpoints",
    "address-limit": "limits per address and endpoint are `scale` (0.01) of the usual",
    "execution-500": "500 could not run the execution; nothing happens",
    "accept-then-500": "500 could not run the execution, although the order was taken",
    "accept-then-timeout": "the order is taken, the answer never comes (`hold` seconds, 60)",
    "accept-then-drop": "the order is taken, the connection is cut before the answer",
    "late-answer": "the order is taken, the answer comes `hold` seconds (1) after its events",
    "unmatched-answer": "a resting order is answered with status `unmatched`",
    "refused-in-answer": "orders are refused with status 200 and an errorMsg, not with 400",
    "deposit-wallets-only": "orders of plain wallets are refused: use the deposit wallet flow",
    "cloudflare-403": "403 with an HTML page on order endpoints, before the venue sees anything",
    "ws-drop": "all WebSocket connections are cut, once",
    "ws-freeze": "WebSockets stay open and answer PING but carry no data",
    "rtds-stall": "the price streams stay open and carry no data",
    "duplicate-events": "every user event is sent twice",
    "reordered-events": "a trade's CONFIRMED is sent before its MINED",
    "ghost-fill": "trades are MATCHED, then RETRYING, then FAILED and undone",
    "partial-fak": "a FAK order finds only `shares` (2) at the best price, nothing behind it",
    "absent-resolution": "no market_resolved message is sent",
    "late-resolution": "windows resolve `delay` seconds (60) later than usual",
    "stale-balance": "balance-allowance repeats old values until it is told to update",
    "clock-skew": "the venue's clock is `offset` seconds (30) ahead",
    "tick-change": "the tick of the market `slug` becomes `tick` (0.001), once",
    "key-revoked": "all API keys are revoked, once",
}
DEFAULT_SECONDS = {"engine-restart": 90.0, "post-only": 120.0}
BLOCKED_PAGE = "<!DOCTYPE html><title>Attention Required! | Cloudflare</title>"
NO_PLAIN_WALLETS = "maker address not allowed, please use the deposit wallet flow"
CANCEL_ONLY = (
    "Trading is currently cancel-only. New orders are not accepted, but cancels are allowed."
)
POST_ONLY_TEXT = "post-only mode: only post-only orders and cancels are allowed"


@dataclass(slots=True)
class Fault:
    """A fault that is on: until a time, for a number of uses, or both."""

    params: dict[str, Any]
    until_ns: int | None
    left: int | None


class FaultBoard:
    """Which faults are on now."""

    def __init__(self) -> None:
        self._on: dict[str, Fault] = {}

    def set(self, name: str, params: dict[str, Any], now_ns: int) -> None:
        """Switch a fault on; ``seconds`` and ``count`` in `params` limit it.

        Raises
        ------
        Refusal
            400 for an unknown name or a limit that is no positive number.
        """
        if name not in NAMES:
            raise bad(f"unknown fault {name!r}; use one of {', '.join(NAMES)}")
        seconds = _positive(params, "seconds", DEFAULT_SECONDS.get(name))
        count = _positive(params, "count", None)
        until = None if seconds is None else now_ns + round(seconds * SECOND_NS)
        self._on[name] = Fault(params, until, None if count is None else int(count))

    def clear(self, name: str | None = None) -> None:
        if name is None:
            self._on.clear()
        else:
            self._on.pop(name, None)

    def get(self, name: str, now_ns: int) -> Fault | None:
        """The fault if it is on; an engine restart that is over leaves post-only mode behind."""
        fault = self._on.get(name)
        if fault is None:
            return None
        if fault.until_ns is not None and now_ns >= fault.until_ns:
            del self._on[name]
            if name == "engine-restart":
                over = fault.until_ns + round(DEFAULT_SECONDS["post-only"] * SECOND_NS)
                self._on["post-only"] = Fault({}, over, None)
            return None
        return fault

    def on(self, name: str, now_ns: int) -> bool:
        return self.get(name, now_ns) is not None

    def take(self, name: str, now_ns: int) -> Fault | None:
        """The fault if it is on, counting one use."""
        fault = self.get(name, now_ns)
        if fault is None:
            return None
        if fault.left is not None:
            fault.left -= 1
            if fault.left <= 0:
                del self._on[name]
        return fault

    def active(self, now_ns: int) -> list[str]:
        return sorted(name for name in list(self._on) if self.on(name, now_ns))

    def details(self, now_ns: int) -> list[dict[str, Any]]:
        """What is on, and for how many seconds or uses more (None: no such limit)."""
        rows = []
        for name in self.active(now_ns):
            fault = self._on[name]
            left = None if fault.until_ns is None else (fault.until_ns - now_ns) / SECOND_NS
            rows.append({"name": name, "seconds_left": left, "uses_left": fault.left})
        return rows

    def gate(self, kind: str, now_ns: int) -> None:
        """Refuse a request to an order endpoint; `kind` is ``order`` or ``cancel``."""
        if self.take("cloudflare-403", now_ns) is not None:
            raise Refusal(403, "Forbidden", page=BLOCKED_PAGE)
        if self.on("engine-restart", now_ns):
            raise Refusal(425, "Too Early: the matching engine is restarting")
        limited = self.take("rate-limit", now_ns)
        if limited is not None:
            retry = str(limited.params.get("retry_after", 2))
            raise Refusal(429, "Too Many Requests", headers={"Retry-After": retry})
        if self.on("trading-disabled", now_ns):
            text = "Trading is currently disabled. Check polymarket.com for updates"
            raise Refusal(503, text)
        if kind == "order":
            if self.on("cancel-only", now_ns):
                raise Refusal(503, CANCEL_ONLY)
            if self.take("execution-500", now_ns) is not None:
                raise Refusal(500, "could not run the execution")

    def gate_post_only(self, post_only: bool, now_ns: int) -> None:
        """Refuse what may not be placed in post-only mode."""
        fault = None if post_only else self.get("post-only", now_ns)
        if fault is None:
            return
        until = now_ns if fault.until_ns is None else fault.until_ns
        left = max(1, -(-(until - now_ns) // SECOND_NS))
        raise Refusal(
            503, POST_ONLY_TEXT, body={"code": "post_only_mode", "retry_after_seconds": left}
        )


def _positive(params: dict[str, Any], name: str, default: float | None) -> float | None:
    value = params.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise bad(f"{name}={value!r} must be a positive number")
    return float(value)
