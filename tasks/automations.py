"""The automations of deployments/automations.yaml, brought into a Prefect server by name.

They are belts beside the floor's own supervision (docs/supervision.md): none is needed for an
agent to trade, and none can end a session that trades.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from prefect.client.orchestration import PrefectClient, get_client
from prefect.events.schemas.automations import Automation, AutomationCore

from models.settings import ROOT, Settings
from tasks.automation_files import Deployed, Entry, MissingAutomation, Server, read_entries
from tasks.webhook_blocks import sync_webhooks

log = structlog.get_logger(__name__)

AUTOMATIONS_FILE = ROOT / "deployments" / "automations.yaml"

OURS = "floor-automations"
"""The tag by which an automation is known to come from the file."""

PAGE = 200
"""Most rows the server gives at a time."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying the file changed, by name."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()

    @property
    def changes(self) -> int:
        return len(self.created) + len(self.updated) + len(self.removed)


async def apply_automations(settings: Settings, entries: Sequence[Entry] | None = None) -> Applied:
    """Make the server's automations those of the file; a second time changes nothing.

    Touches only automations with the tag `OURS`, or of a name in the file. The file wins over what
    was changed in the UI. Deployments must be there already: some automations are theirs.

    Parameters
    ----------
    settings
        Name the webhooks that people are told through.
    entries
        Of another file (see `read_entries`).

    Raises
    ------
    ConfigError
        The file is wrong; names file, line and reason. Nothing was changed.
    """
    read = read_entries(AUTOMATIONS_FILE) if entries is None else entries
    async with get_client() as client:
        known = await _automations(client)
        server = Server(
            deployments=await _deployments(client),
            automations={each.name: each.id for each in known},
            webhooks=await sync_webhooks(client, settings),
        )
        return await _bring(client, known, _wanted(read, server))


def _wanted(entries: Sequence[Entry], server: Server) -> dict[str, AutomationCore]:
    wanted: dict[str, AutomationCore] = {}
    for entry in entries:
        for each in entry.automations(server):
            if isinstance(each, MissingAutomation):
                log.warning("automation_left_out", entry=entry.raw["name"], missing=str(each))
            else:
                wanted[each.name] = each.model_copy(update={"tags": [OURS]})
    return wanted


async def _bring(
    client: PrefectClient, known: Sequence[Automation], wanted: dict[str, AutomationCore]
) -> Applied:
    created, updated, removed, unchanged = [], [], [], []
    left = dict(wanted)
    for each in known:
        new = left.pop(each.name, None)
        if new is None:
            # Gone from the file, or the second of two that were applied at the same time.
            if OURS in each.tags:
                await client.delete_automation(each.id)
                removed.append(each.name)
        elif _core(each) == _core(new):
            unchanged.append(each.name)
        else:
            await client.update_automation(each.id, _whole(new))
            updated.append(each.name)
    for name, new in left.items():
        await client.create_automation(new)
        created.append(name)
    return Applied(tuple(created), tuple(updated), tuple(removed), tuple(unchanged))


def _core(automation: AutomationCore) -> dict[str, object]:
    """Return what counts when two are compared: the server adds ids and times."""
    plain = AutomationCore.model_validate(automation.model_dump())
    return plain.model_dump(exclude={"owner_resource"})


def _whole(automation: AutomationCore) -> AutomationCore:
    """Return a copy whose every field counts as set: the client sends no others, and the server
    keeps what is not sent."""
    fields = automation.model_dump(exclude={"owner_resource"})
    return AutomationCore.model_validate(fields)


async def _automations(client: PrefectClient) -> list[Automation]:
    found: list[Automation] = []
    while page := await client.read_automations(limit=PAGE, offset=len(found)):
        found += page
    return found


async def _deployments(client: PrefectClient) -> list[Deployed]:
    found: list[Deployed] = []
    while page := await client.read_deployments(limit=PAGE, offset=len(found)):
        found += [Deployed(each.id, each.name, frozenset(each.tags or ())) for each in page]
    return found
