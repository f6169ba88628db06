"""The webhooks of the settings as blocks of Prefect, for notices its server sends by itself."""

from uuid import UUID

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from models.settings import Settings

BLOCK_TYPE = "custom-webhook"
SLACK, DISCORD = "floor-slack", "floor-discord"


async def sync_webhooks(client: PrefectClient, settings: Settings) -> list[UUID]:
    """Keep a block for each webhook that is set, and none for others; return their ids.

    The address is the block's secret: Prefect encrypts it, with a key of its own that lies in the
    same database. It shows it to nobody, but who may read the database may find it.
    """
    blocks = []
    for name, url in _addresses(settings).items():
        known = await _read(client, name)
        if url is None:
            if known is not None:
                await client.delete_block_document(known[0])
            continue
        if known is None or known[1] != url:
            await _block(name, url).asave(name, overwrite=True, client=client)
            known = await _read(client, name)
        if known is not None:
            blocks.append(known[0])
    return blocks


def _addresses(settings: Settings) -> dict[str, str | None]:
    slack, discord = settings.slack_webhook_url, settings.discord_webhook_url
    return {
        SLACK: slack.get_secret_value() if slack is not None else None,
        # Discord takes Slack's own messages at this path of its webhooks.
        DISCORD: discord.get_secret_value().rstrip("/") + "/slack" if discord is not None else None,
    }


def _block(name: str, url: str) -> CustomWebhookNotificationBlock:
    return CustomWebhookNotificationBlock(
        name=name,
        url="{{address}}",
        json_data={"text": ":rotating_light: {{subject}}: {{body}}"},
        secrets={"address": SecretStr(url)},
    )


async def _read(client: PrefectClient, name: str) -> tuple[UUID, str] | None:
    """Return a block's id and address; None where there is none."""
    try:
        found = await client.read_block_document_by_name(name, BLOCK_TYPE, include_secrets=True)
    except ObjectNotFound:
        return None
    return found.id, str(found.data.get("secrets", {}).get("address", ""))
