"""Intents that become no order: the reason, noted for people, and not over and over."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from engine.ports import Clock, Journal
from models.markets import Market
from models.units import SECOND_NS
from risk.limits import RiskDecision

log = structlog.get_logger(__name__)

REPEAT_NS = 30 * SECOND_NS
"""The same refusal in the same market is noted no more often than this."""
_NUMBER = re.compile(r"-?\d[\d.]*")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An intent that becomes no order, with the reason."""

    policy: str
    """A short name: ``invalid``, ``stale``, ``closed``, ``paused`` or the violated policies."""
    reason: str
    decision: RiskDecision | None = None
    """What the risk check said, where it was that."""


class Refusals:
    """Notes refusals in log and journal; never waits."""

    def __init__(self, agent: str, journal: Journal, clock: Clock) -> None:
        self._agent = agent
        self._journal = journal
        self._now_ns = clock.now_ns
        self._noted: dict[tuple[str, str, str], int] = {}

    def note(self, market: Market, refusal: Refusal, wish: Mapping[str, Any] | None = None) -> None:
        """Note a refusal; one that repeats is noted every 30 seconds.

        Refusals repeat when limit or policy are the same, and faults when their words are.
        """
        words = _NUMBER.sub("#", refusal.reason)[:80] if refusal.policy == "invalid" else ""
        key, now = (market.condition_id, refusal.policy, words), self._now_ns()
        if now - self._noted.get(key, -REPEAT_NS) < REPEAT_NS:
            return
        self._noted[key] = now
        log.info(
            "intent_refused",
            agent=self._agent,
            market=market.slug,
            policy=refusal.policy,
            reason=refusal.reason,
        )
        detail: dict[str, Any] = {
            "policy": refusal.policy,
            "reason": refusal.reason,
            "wish": dict(wish or {}),
        }
        if (decision := refusal.decision) is not None:
            detail["violated_policies"] = list(decision.violated_policies)
            detail["reasons"] = list(decision.reasons)
            detail["cost_e6"] = decision.cost_e6
        self._journal.signal(market.condition_id, "refused", detail)

    def forget(self, condition_id: str) -> None:
        """Drop what is remembered of a market that is over."""
        for key in [key for key in self._noted if key[0] == condition_id]:
            del self._noted[key]
