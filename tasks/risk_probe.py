"""Asking the venue for the time: whether it answers, and how far our clock is off."""

import time
from typing import Self

import httpx

from models.settings import Settings
from models.units import SECOND_NS
from venue.polymarket.endpoints import endpoints

TIMEOUT_S = 3.0
SURE_S = 1.0
"""An answer that took longer says nothing about the clock."""


class Probe:
    """``async with Probe(settings) as probe``; one question per `ask`."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"{endpoints(settings).clob}/time"
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=not settings.simulated)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def ask(self) -> tuple[bool, int | None]:
        """Whether the call failed, and our clock less the venue's in nanoseconds where known."""
        began_ns = time.time_ns()
        try:
            reply = await self._client.get(self._url)
            reply.raise_for_status()
            told = float(reply.json())
        except (httpx.HTTPError, ValueError, TypeError):
            return True, None
        ended_ns = time.time_ns()
        if ended_ns - began_ns > SURE_S * SECOND_NS:
            return False, None
        # The venue tells whole seconds: on average it was half a second later.
        venue_ns = round((told + 0.5) * SECOND_NS)
        return False, (began_ns + ended_ns) // 2 - venue_ns
