"""Messages to people: Slack, Discord, and the floor's own channel.

Posting never waits and never fails: messages go into a bounded queue, one background task sends
them, and a dead webhook costs a few bounded tries and then the message.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import structlog
from slack_sdk.errors import SlackClientError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from models.settings import Settings
from models.units import usd

log = structlog.get_logger(__name__)

QUEUE_LENGTH = 1_000
TRIES = 3
ICONS = {
    "agent_started": ":large_green_circle:",
    "agent_stopped": ":white_circle:",
    "trade_executed": ":moneybag:",
    "window_settled": ":checkered_flag:",
    "breaker": ":octagonal_sign:",
    "error": ":red_circle:",
}

Publish = Callable[[str, Mapping[str, Any]], None]
"""Hands a message to the floor's channel; must not wait or raise."""


@dataclass(frozen=True, slots=True)
class Notice:
    kind: str
    text: str
    fields: dict[str, Any]


@dataclass(slots=True)
class _Trades:
    """Fills of one agent gathered for one message."""

    fills: int = 0
    cash_e6: int = 0
    fees_e6: int = 0
    sides: Counter[str] = field(default_factory=Counter)

    def add(self, fields: Mapping[str, Any]) -> None:
        self.fills += 1
        self.cash_e6 += int(fields.get("cash_e6", 0))
        self.fees_e6 += int(fields.get("fee_e6", 0))
        self.sides[f"{fields.get('side', '')} {fields.get('outcome', '')}".strip()] += 1

    def text(self, agent: str) -> str:
        sides = ", ".join(f"{count} × {side}" for side, count in self.sides.most_common())
        plural = "s" if self.fills != 1 else ""
        fees = f", fees ${usd(self.fees_e6)}" if self.fees_e6 else ""
        return f"{agent}: {self.fills} fill{plural} for ${usd(self.cash_e6)}{fees} ({sides})"


class Alerts:
    """Sends notices; implements `engine.ports.Notices`.

    Parameters
    ----------
    settings
        Holds the webhooks and how long trades are gathered into one message.
    publish
        Where every notice also goes, at once: the floor's Redis channel.
    """

    def __init__(self, settings: Settings, publish: Publish | None = None) -> None:
        self._environment = settings.environment
        self._group_s = float(settings.alert_group_seconds)
        self._publish = publish
        self._clients = _clients(settings)
        self._queue: asyncio.Queue[Notice | None] = asyncio.Queue(QUEUE_LENGTH)
        self._trades: dict[str, _Trades] = {}
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="alerts")

    async def close(self, timeout_s: float = 5.0) -> None:
        """Send what is waiting, but no longer than `timeout_s`."""
        if self._task is None:
            return
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(None)
        done, _ = await asyncio.wait({self._task}, timeout=timeout_s)
        if not done:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._task = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def post(self, kind: str, text: str, **fields: Any) -> None:
        """Queue a notice; a full queue drops it and counts."""
        if self._publish is not None:
            self._publish(kind, {"text": text, **fields})
        if not self._clients:
            return
        try:
            self._queue.put_nowait(Notice(kind, text, fields))
        except asyncio.QueueFull:
            self.dropped += 1

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        flush_at: float | None = None
        while True:
            wait = None if flush_at is None else max(0.0, flush_at - loop.time())
            try:
                async with asyncio.timeout(wait):
                    notice = await self._queue.get()
            except TimeoutError:
                flush_at = None
                await self._flush_trades()
                continue
            if notice is None:
                await self._flush_trades()
                return
            if notice.kind == "trade_executed":
                agent = str(notice.fields.get("agent", "floor"))
                self._trades.setdefault(agent, _Trades()).add(notice.fields)
                flush_at = flush_at or loop.time() + self._group_s
            else:
                await self._send(notice.kind, notice.text)

    async def _flush_trades(self) -> None:
        gathered, self._trades = self._trades, {}
        for agent, trades in gathered.items():
            await self._send("trade_executed", trades.text(agent))

    async def _send(self, kind: str, text: str) -> None:
        message = f"{ICONS.get(kind, '')} [{self._environment}] {text}".strip()
        await asyncio.gather(
            *(self._deliver(name, client, message) for name, client in self._clients.items())
        )

    async def _deliver(self, name: str, client: AsyncWebhookClient, message: str) -> None:
        reason = ""
        for attempt in range(TRIES):
            try:
                reply = await client.send(text=message)
                if reply.status_code < 300:
                    return
                reason = f"HTTP {reply.status_code}"
            except (SlackClientError, OSError, TimeoutError, ValueError) as error:
                reason = type(error).__name__
            except Exception as error:  # the client's own transport errors share no base class
                reason = type(error).__name__
            if attempt + 1 < TRIES:
                await asyncio.sleep(0.5 * 2**attempt)
        # The URL is a secret, and some errors carry it: only their type is told.
        log.warning("alert_not_delivered", sink=name, reason=reason)


def _clients(settings: Settings) -> dict[str, AsyncWebhookClient]:
    clients = {}
    if settings.slack_webhook_url is not None:
        clients["slack"] = settings.slack_webhook_url.get_secret_value()
    if settings.discord_webhook_url is not None:
        # Discord takes Slack's own messages at this path of its webhooks.
        clients["discord"] = settings.discord_webhook_url.get_secret_value().rstrip("/") + "/slack"
    return {name: AsyncWebhookClient(url, timeout=5) for name, url in clients.items()}
