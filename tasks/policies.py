"""The policies a session trades by: read at its start, watched, taken up again while it runs.

A file that is wrong changes nothing: the last good policies stay. They are kept in Postgres, so
that a session which starts meanwhile goes on with them too.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from pydantic import ValidationError

from models.errors import ConfigError, StoreUnavailable
from models.settings import Settings
from models.units import to_cash_e6
from risk.policies import PolicyFile
from store import state
from store.database import Database
from tasks.risk_policies import Policies, read_policies

log = structlog.get_logger(__name__)

KEPT = "policies"
LOOK_S = 1.0
SETTLED_NS = 500_000_000
"""A file that was written to more lately may not be whole yet."""


def load_policies(settings: Settings) -> PolicyFile:
    """Read the policies of RISK_FILE.

    Raises
    ------
    ConfigError
        A line per fault, each naming file and line.
    """
    return read_policies(settings.risk_file, to_cash_e6(settings.initial_capital))


async def opening_policies(settings: Settings, database: Database) -> Policies:
    """Policies for a session that starts: the file's, or the last good ones while it is wrong.

    Raises
    ------
    ConfigError
        The file is wrong and there never was a right one.
    """
    capital_e6, path = to_cash_e6(settings.initial_capital), settings.risk_file
    policies = Policies(capital_e6, path)
    good = policies.current()
    if not policies.fault:
        await _keep(database, good)
        return policies
    kept = await _kept(database)
    if kept is None:
        raise ConfigError(policies.fault)
    log.error("last_good_policies_stay", reason=policies.fault)
    policies = Policies(capital_e6, path, kept)
    policies.current()
    return policies


async def watch_policies(
    settings: Settings,
    database: Database,
    policies: Policies,
    now: PolicyFile,
    adopt: Callable[[PolicyFile], None],
    tell: Callable[[str, Mapping[str, Any]], None],
) -> None:
    """Take up the file whenever it changes, until cancelled.

    Parameters
    ----------
    now
        What is in force.
    adopt
        Is given policies that are in force from now on.
    tell
        Is told of changes and faults, each once: kind and detail of an event.
    """
    fault = ""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            if not _settled(settings):
                continue
            found = policies.current()
            if policies.fault != fault:
                fault = policies.fault
                if fault:
                    tell("policies_wrong", {"reason": fault})
            if found is now or fault:
                continue
            if changed := differences(now, found):
                log.info("policies_changed", changed=changed)
                tell("policies_changed", {"changed": changed})
            now = found
            adopt(found)
            await _keep(database, found)
        except Exception as error:  # whatever it is, the next look must still come
            log.error("policies_not_watched", reason=repr(error))


def differences(before: PolicyFile, after: PolicyFile) -> list[str]:
    """What changed from one file to another, a line each."""
    old, new = _lines(before), _lines(after)
    both = [name for name in old if name in new]
    return [
        *(f"{name}: {old[name]} → {new[name]}" for name in both if old[name] != new[name]),
        *(f"{name}: {new[name]} is new" for name in new if name not in old),
        *(f"{name}: {old[name]} is gone" for name in old if name not in new),
    ]


def _lines(file: PolicyFile) -> dict[str, str]:
    """A file's parts by their names, each in words."""
    found: dict[str, str] = {}
    if file.capital_usd is not None:
        found["capital_usd"] = str(file.capital_usd)
    for policy in file.policies:
        row = policy.model_dump(mode="json", exclude_none=True, exclude={"type"})
        per = f" per {row.pop('per')}" if "per" in row else ""
        found[f"{policy.type}{per}"] = _words(row)
    for rule in file.breakers:
        row = rule.model_dump(mode="json", exclude_none=True, exclude={"name"}, exclude_unset=True)
        found[f"breaker {rule.name}"] = _words(row)
    return found


def _words(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in row.items()) or "as it is"


def _settled(settings: Settings) -> bool:
    try:
        written_ns = settings.risk_file.stat().st_mtime_ns
    except OSError:
        return True
    return not 0 <= time.time_ns() - written_ns < SETTLED_NS


async def _keep(database: Database, file: PolicyFile) -> None:
    """Remember the last good policies; while Postgres is away the file itself is there."""
    try:
        await state.put(database, KEPT, file.model_dump(mode="json", exclude_unset=True))
    except StoreUnavailable as error:
        log.warning("policies_not_kept", reason=str(error))


async def _kept(database: Database) -> PolicyFile | None:
    row = await state.get(database, KEPT)
    try:
        return None if row is None else PolicyFile.model_validate(row)
    except ValidationError:
        return None
