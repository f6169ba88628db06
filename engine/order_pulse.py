"""The sign of life that keeps the venue from cancelling an agent's orders."""

import structlog

from engine.ports import Clock, Venue
from models.errors import VenueError
from models.units import SECOND_NS

log = structlog.get_logger(__name__)

LAPSE_S = 10.0
"""Silence after which the venue cancels every order of the key (armed by the first beat)."""


class Pulse:
    """Heartbeats of one API key.

    ``lapsed`` turns true when a beat came so late that the venue may have cancelled the orders;
    whoever reconciles sets it back.
    """

    def __init__(self, venue: Venue, clock: Clock, every_s: float) -> None:
        self._venue = venue
        self._clock = clock
        self.every_s = every_s
        self._last_ns: int | None = None
        self.lapsed = False

    @property
    def silence_s(self) -> float | None:
        """Seconds since the venue last heard from us, None before the first beat."""
        if self._last_ns is None:
            return None
        return (self._clock.now_ns() - self._last_ns) / SECOND_NS

    def due_in_s(self) -> float:
        silence = self.silence_s
        return 0.0 if silence is None else max(0.0, self.every_s - silence)

    async def beat(self) -> bool:
        """Send one heartbeat; False when the venue did not take it."""
        sent_ns = self._clock.now_ns()
        try:
            await self._venue.heartbeat()
        except VenueError as error:
            log.warning("heartbeat_failed", error=str(error), silence_s=self.silence_s)
            return False
        if self._last_ns is not None and sent_ns - self._last_ns > LAPSE_S * SECOND_NS:
            self.lapsed = True
        self._last_ns = sent_ns
        return True

    async def before_order(self) -> None:
        """Beat if the venue was armed long ago: it must not cancel what we are about to send."""
        silence = self.silence_s
        if silence is not None and silence > max(self.every_s, LAPSE_S * 0.7):
            await self.beat()
