"""Alerts against a real local HTTP server that plays Slack and Discord."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from models.settings import Settings
from tasks.alerts import ICONS, QUEUE_LENGTH, Alerts


@dataclass
class Chat:
    """A chat server that keeps what it was sent and answers as told."""

    status: int = 200
    delay_s: float = 0.0
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append((request.path, await request.json()))
        await asyncio.sleep(self.delay_s)
        return web.Response(status=self.status, text="ok")

    @property
    def texts(self) -> list[str]:
        return [body["text"] for _, body in self.got]


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    chat = Chat()
    app = web.Application()
    app.router.add_post("/{path:.*}", chat.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        chat.url = str(server.make_url("/")).rstrip("/")
        yield chat


def settings(chat: Chat, **changes: Any) -> Settings:
    return Settings(
        _env_file=None, slack_webhook_url=f"{chat.url}/hook/secret", environment="test", **changes
    )


async def test_each_kind_reaches_slack_at_once(chat: Chat) -> None:
    alerts = Alerts(settings(chat))
    await alerts.start()
    alerts.post("agent_started", "momentum started")
    alerts.post("breaker", "daily loss reached")
    await alerts.close()
    assert [text.split("] ")[1] for text in chat.texts] == [
        "momentum started",
        "daily loss reached",
    ]


@pytest.mark.parametrize(
    "kind", ["agent_started", "agent_stopped", "window_settled", "breaker", "error"]
)
async def test_each_kind_is_sent_at_once_with_its_icon(chat: Chat, kind: str) -> None:
    async with Alerts(settings(chat, alert_group_seconds=3600)) as alerts:
        alerts.post(kind, "news", pnl_e6=1)
        async with asyncio.timeout(20):
            while not chat.got:
                await asyncio.sleep(0.02)
    assert chat.texts == [f"{ICONS[kind]} [test] news"]


async def test_fills_become_one_message_per_agent(chat: Chat) -> None:
    alerts = Alerts(settings(chat, alert_group_seconds=3600))
    await alerts.start()
    for agent, cash in (("a", 1_000_000), ("a", 2_500_000), ("b", 4_000_000)):
        alerts.post(
            "trade_executed", "fill", agent=agent, side="BUY", outcome="Up", cash_e6=cash, fee_e6=0
        )
    await alerts.close()
    assert len(chat.texts) == 2
    assert "a: 2 fills for $3.50 (2 × BUY Up)" in chat.texts[0]
    assert "b: 1 fill for $4.00 (1 × BUY Up)" in chat.texts[1]


async def test_grouped_fills_are_sent_when_their_time_is_up(chat: Chat) -> None:
    alerts = Alerts(settings(chat, alert_group_seconds=1))
    await alerts.start()
    alerts.post("trade_executed", "fill", agent="a", side="BUY", outcome="Up", cash_e6=1)
    async with asyncio.timeout(20):
        while not chat.got:
            await asyncio.sleep(0.02)
    await alerts.close()
    assert len(chat.got) == 1


async def test_discord_takes_the_same_message_at_its_slack_path(chat: Chat) -> None:
    alerts = Alerts(
        Settings(_env_file=None, discord_webhook_url=f"{chat.url}/api/webhooks/1/token/")
    )
    await alerts.start()
    alerts.post("error", "it broke")
    await alerts.close()
    assert [path for path, _ in chat.got] == ["/api/webhooks/1/token/slack"]


async def test_a_dead_webhook_never_slows_the_poster_and_tells_no_secret(
    chat: Chat, capsys: pytest.CaptureFixture[str]
) -> None:
    chat.status, chat.delay_s = 500, 0.2
    alerts = Alerts(settings(chat))
    await alerts.start()
    began = time.perf_counter()
    for number in range(2 * QUEUE_LENGTH):
        alerts.post("error", f"error {number}")
    posting_s = time.perf_counter() - began
    await alerts.close(timeout_s=2.5)
    assert alerts.dropped >= QUEUE_LENGTH - 1
    assert posting_s < chat.delay_s * QUEUE_LENGTH / 10, "posting must not wait for the sender"
    assert len(chat.got) >= 3, "a failing message is tried again"
    shown = capsys.readouterr()
    assert "secret" not in shown.out + shown.err


async def test_nothing_listening_is_survived(chat: Chat) -> None:
    alerts = Alerts(Settings(_env_file=None, slack_webhook_url="http://127.0.0.1:9/hook"))
    await alerts.start()
    alerts.post("error", "nobody hears this")
    await alerts.close(timeout_s=5)


async def test_every_notice_goes_to_the_floors_channel_even_without_webhooks() -> None:
    published: list[tuple[str, dict[str, Any]]] = []
    alerts = Alerts(
        Settings(_env_file=None), publish=lambda kind, body: published.append((kind, dict(body)))
    )
    await alerts.start()
    alerts.post("agent_stopped", "bye", agent="a")
    await alerts.close()
    assert published == [("agent_stopped", {"text": "bye", "agent": "a"})]
