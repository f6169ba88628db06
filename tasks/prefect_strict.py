"""prefect.yaml read strictly: Prefect itself drops keys it does not know without a word."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prefect.cli.deploy._models import (  # the loader's own models, which ignore unknown keys
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.events.schemas.deployment_triggers import (
    DeploymentCompoundTrigger,
    DeploymentEventTrigger,
    DeploymentMetricTrigger,
    DeploymentSequenceTrigger,
)
from pydantic import BaseModel

from models.errors import ConfigError
from tasks.prefect_file import PREFECT_FILE
from tasks.yaml_lines import LinedFile, Place

DEFINITIONS = "definitions"
"""Where the file keeps what its anchors name; Prefect does not look at it."""

_TOP = {DEFINITIONS, "prefect-version", *PrefectYamlModel.model_fields}
_PARTS: dict[str, type[BaseModel]] = {
    "work_pool": WorkPoolConfig,
    "concurrency_limit": ConcurrencyLimitSpec,
}
_TRIGGERS: dict[str, type[BaseModel]] = {
    "event": DeploymentEventTrigger,
    "metric": DeploymentMetricTrigger,
    "compound": DeploymentCompoundTrigger,
    "sequence": DeploymentSequenceTrigger,
}


def check_prefect_file(path: Path = PREFECT_FILE) -> None:
    """Check that Prefect will heed every key of the file.

    Raises
    ------
    ConfigError
        One line a fault, each with the file and the line in it.
    """
    file = LinedFile(path)
    faults = file.unknown_keys((), file.data, _TOP)
    deployments = file.data.get("deployments", [])
    if not isinstance(deployments, list):
        faults.append(file.error(("deployments",), "must hold a list"))
        deployments = []
    names: dict[tuple[Any, Any], int] = {}
    for number, raw in enumerate(deployments):
        place = ("deployments", number)
        faults += _deployment_faults(file, place, raw)
        if isinstance(raw, Mapping):
            same = (raw.get("entrypoint"), raw.get("name"))
            if same in names:
                faults.append(file.error((*place, "name"), f"{same[1]!r} is there twice"))
            names[same] = number
    if faults:
        raise ConfigError("\n".join(faults))


def _deployment_faults(file: LinedFile, place: Place, raw: Any) -> Iterator[str]:
    yield from file.unknown_keys(place, raw, DeploymentConfig.model_fields)
    if not isinstance(raw, Mapping):
        return
    for key in ("name", "entrypoint"):
        if not raw.get(key):
            yield file.error(place, f"key {key!r} is missing")
    for key, model in _PARTS.items():
        if isinstance(raw.get(key), Mapping):
            yield from file.unknown_keys((*place, key), raw[key], model.model_fields)
    for number, schedule in enumerate(raw.get("schedules") or ()):
        where = (*place, "schedules", number)
        yield from file.unknown_keys(where, schedule, RawScheduleConfig.model_fields)
    for number, trigger in enumerate(raw.get("triggers") or ()):
        kind = trigger.get("type", "event") if isinstance(trigger, Mapping) else "event"
        where = (*place, "triggers", number)
        if kind not in _TRIGGERS:
            known = ", ".join(_TRIGGERS)
            yield file.error((*where, "type"), f"unknown {kind!r}; known: {known}")
        else:
            yield from file.unknown_keys(where, trigger, _TRIGGERS[kind].model_fields)
