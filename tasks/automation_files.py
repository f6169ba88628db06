"""Files of Prefect automations: read strictly, checked by Prefect's own schema, filled in.

Prefect drops keys it does not know without a word; here they are errors with file and line.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, get_args
from uuid import UUID

from prefect.events.actions import ActionTypes
from prefect.events.schemas.automations import (
    AutomationCore,
    CompoundTrigger,
    EventTrigger,
    MetricTrigger,
    SequenceTrigger,
)
from pydantic import BaseModel, ValidationError

from models.errors import ConfigError
from tasks.yaml_lines import LinedFile, Place

ROOT_KEY = "automations"
FOR_DEPLOYMENTS = "for_deployments_tagged"
NOTIFY = "notify"
BY_NAME = ("pause-automation", "resume-automation")

_KEYS = (AutomationCore.model_fields.keys() - {"owner_resource", "tags"}) | {FOR_DEPLOYMENTS}
_TRIGGERS: dict[str, type[BaseModel]] = {
    "event": EventTrigger,
    "metric": MetricTrigger,
    "compound": CompoundTrigger,
    "sequence": SequenceTrigger,
}
_ACTIONS: dict[str, set[str]] = {
    model.model_fields["type"].default: set(model.model_fields) for model in get_args(ActionTypes)
} | {NOTIFY: {"type", "subject", "body"}}
_ACTION_LISTS = ("actions", "actions_on_trigger", "actions_on_resolve")


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment of the server."""

    id: UUID
    name: str
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Server:
    """What of a server the entries of a file refer to."""

    deployments: Sequence[Deployed]
    automations: Mapping[str, UUID]
    webhooks: Sequence[UUID]
    """Blocks that people are told through."""


class MissingAutomation(Exception):
    """An entry pauses or resumes an automation the server does not have."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One automation of a file, or one for each of some deployments."""

    file: LinedFile
    place: Place
    raw: Mapping[str, Any]

    @property
    def tag(self) -> str:
        return str(self.raw.get(FOR_DEPLOYMENTS, ""))

    def automations(self, server: Server) -> Iterator[AutomationCore | MissingAutomation]:
        """Fill the entry in for a server: one automation, or one a deployment.

        Where one refers to what the server does not have, that is yielded in its place.

        Raises
        ------
        ConfigError
            Prefect's schema refuses what comes of it; names file, line and reason.
        """
        for words in self._words(server):
            try:
                yield self._automation(server, words)
            except MissingAutomation as missing:
                yield missing

    def _words(self, server: Server) -> list[dict[str, str]]:
        if FOR_DEPLOYMENTS not in self.raw:
            return [{}]
        return [
            {"deployment": each.name, "deployment_id": str(each.id)}
            for each in sorted(server.deployments, key=lambda each: each.name)
            if self.tag in each.tags
        ]

    def _automation(self, server: Server, words: Mapping[str, str]) -> AutomationCore:
        filled = self._filled(self.raw, self.place, words)
        filled.pop(FOR_DEPLOYMENTS, None)
        for key in _ACTION_LISTS:
            if key in filled:
                filled[key] = [one for each in filled[key] for one in _actions(each, server)]
        # Without a webhook a notice is still seen in Prefect's feed of events.
        filled["actions"] = filled["actions"] or [{"type": "do-nothing"}]
        try:
            return AutomationCore.model_validate(filled)
        except ValidationError as error:
            lines = [self._fault(item) for item in error.errors()]
            raise ConfigError("\n".join(dict.fromkeys(lines))) from None
        except TypeError as error:
            # Prefect's own checks compare values before they know what these are.
            reason = f"a value is of the wrong kind: {error}"
            raise ConfigError(self.file.error((*self.place, "trigger"), reason)) from None

    def _filled(self, value: Any, place: Place, words: Mapping[str, str]) -> Any:
        """Copy `value` with $words replaced."""
        if isinstance(value, Mapping):
            return {key: self._filled(each, (*place, key), words) for key, each in value.items()}
        if isinstance(value, list):
            return [self._filled(each, (*place, n), words) for n, each in enumerate(value)]
        if not isinstance(value, str):
            return value
        try:
            return Template(value).substitute(words)
        except KeyError as error:
            reason = f"${error.args[0]} stands for nothing; give {FOR_DEPLOYMENTS}, or write $$"
        except ValueError:
            reason = "holds a $ that begins no word; write $$"
        raise ConfigError(self.file.error(place, reason))

    def _fault(self, item: Any) -> str:
        """Name the key Prefect's schema refuses; its path also holds names of types."""
        place = self.place
        for part in item["loc"]:
            if (*place, part) in self.file.lines:
                place = (*place, part)
        reason = str(item["msg"]).removeprefix("Value error, ")
        if item["type"] == "missing":
            reason = f"key {item['loc'][-1]!r} is missing"
        return self.file.error(place, reason)


def _actions(action: Mapping[str, Any], server: Server) -> list[dict[str, Any]]:
    """Write an action of ours as Prefect's: notices by webhook, automations by id."""
    if action["type"] == NOTIFY:
        told = {key: value for key, value in action.items() if key != "type"}
        return [
            {"type": "send-notification", "block_document_id": str(block), **told}
            for block in server.webhooks
        ]
    if "automation" not in action:
        return [dict(action)]
    name = action["automation"]
    if name not in server.automations:
        raise MissingAutomation(name)
    rest = {key: value for key, value in action.items() if key != "automation"}
    return [rest | {"source": "selected", "automation_id": str(server.automations[name])}]


def read_entries(path: Path) -> list[Entry]:
    """Read and check a file of automations.

    Raises
    ------
    ConfigError
        The file can't be read, or a key or value is wrong; one line a fault, each with the file
        and the line in it.
    """
    file = LinedFile(path)
    faults = file.unknown_keys((), file.data, {ROOT_KEY})
    given = file.data.get(ROOT_KEY)
    if not isinstance(given, list):
        raise ConfigError("\n".join([*faults, file.error((ROOT_KEY,), "must hold a list")]))
    entries = []
    names: set[str] = set()
    for number, raw in enumerate(given):
        place = (ROOT_KEY, number)
        wrong = list(_entry_faults(file, place, raw))
        name = str(raw.get("name")) if isinstance(raw, Mapping) else ""
        if name in names:
            wrong.append(file.error((*place, "name"), f"{name!r} is there twice"))
        names.add(name)
        faults += wrong
        if not wrong:
            entries.append(Entry(file, place, raw))
    faults += [fault for entry in entries for fault in _schema_faults(entry)]
    if faults:
        raise ConfigError("\n".join(faults))
    return entries


def _schema_faults(entry: Entry) -> list[str]:
    """Fill the entry in for a made-up server and say what Prefect's schema refuses of it."""

    class _Any(dict[str, UUID]):
        def __contains__(self, name: object) -> bool:
            return True

        def __missing__(self, name: str) -> UUID:
            return UUID(int=0)

    nobody = Deployed(UUID(int=0), "deployment", frozenset({entry.tag}))
    try:
        list(entry.automations(Server([nobody], _Any(), [UUID(int=0)])))
    except ConfigError as error:
        return str(error).splitlines()
    return []


def _entry_faults(file: LinedFile, place: Place, raw: Any) -> Iterator[str]:
    yield from file.unknown_keys(place, raw, _KEYS)
    if not isinstance(raw, Mapping):
        return
    for key in ("name", "trigger", "actions"):
        if key not in raw:
            yield file.error(place, f"key {key!r} is missing")
    if "trigger" in raw:
        yield from _trigger_faults(file, (*place, "trigger"), raw["trigger"])
    if "$deployment" not in str(raw.get("name")) and FOR_DEPLOYMENTS in raw:
        yield file.error((*place, "name"), f"needs $deployment: {FOR_DEPLOYMENTS} makes several")
    for key in _ACTION_LISTS:
        given = raw.get(key, [])
        if not isinstance(given, list):
            yield file.error((*place, key), "must hold a list")
            continue
        for number, action in enumerate(given):
            yield from _action_faults(file, (*place, key, number), action)


def _trigger_faults(file: LinedFile, place: Place, raw: Any) -> Iterator[str]:
    kind = raw.get("type", "event") if isinstance(raw, Mapping) else "event"
    if kind not in _TRIGGERS:
        yield file.error((*place, "type"), f"unknown {kind!r}; known: {', '.join(_TRIGGERS)}")
        return
    yield from file.unknown_keys(place, raw, _TRIGGERS[kind].model_fields)
    if isinstance(raw, Mapping) and isinstance(raw.get("triggers"), list):
        for number, each in enumerate(raw["triggers"]):
            yield from _trigger_faults(file, (*place, "triggers", number), each)


def _action_faults(file: LinedFile, place: Place, raw: Any) -> Iterator[str]:
    kind = raw.get("type") if isinstance(raw, Mapping) else None
    if kind not in _ACTIONS:
        known = ", ".join(sorted(_ACTIONS))
        yield file.error((*place, "type"), f"unknown {kind!r}; known: {known}")
        return
    extra = {"automation"} if kind in BY_NAME else set()
    yield from file.unknown_keys(place, raw, _ACTIONS[kind] | extra)
    if kind == NOTIFY and not raw.get("body"):
        yield file.error(place, "key 'body' is missing")
    if kind == "change-flow-run-state" and str(raw.get("state")).upper() == "SCHEDULED":
        reason = "a run that is put back to Scheduled may be launched twice; start a new run"
        yield file.error((*place, "state"), reason)
