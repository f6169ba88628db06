"""The steps of starting that run once and end: ``python -m console.steps NAME``.

Each can be run again at any time and then changes nothing.
"""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import structlog

from console.drain import STOPPING
from console.environment import INSTANCE, SUPERVISED_HOME, child_environment
from console.launch import WRONG_SETTINGS
from console.records import Identity, LaunchRecord, read_launch, write_launch
from models.errors import ConfigError, FloorError, NotReady
from models.settings import ROOT, Settings, load_settings
from store import schema, state
from store.database import Database
from store.urls import ensure_databases, urls
from tasks.logs import configure_logs

PATIENCE_S = 60.0

log = structlog.get_logger()


def database(settings: Settings) -> None:
    """Create the databases where missing, bring the tables up to date, lift our own halt."""
    addresses = urls(settings)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            ensure_databases(addresses)
            break
        except NotReady:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
    schema.upgrade(addresses.database)
    asyncio.run(_lift_halt(addresses.database))
    if settings.prefect_shared:
        migrate_prefect(settings)


def migrate_prefect(settings: Settings) -> None:
    """Bring Prefect's own tables up to date, before several servers all try to at once.

    Raises
    ------
    FloorError
        Prefect could not; its own words were printed.
    """
    environment = child_environment(settings, server=True)
    _run_python(environment, "console.prefect_tables")


async def _lift_halt(url: str) -> None:
    async with Database(url, max_size=1) as db:
        halt = await state.halted(db)
        if halt is not None and halt.reason == STOPPING:
            await state.clear_halt(db)


def deployments(settings: Settings) -> None:
    """Create the work pools, deploy everything in prefect.yaml, and have supervise look at once.

    The automations come after the deployments, of which some of them are.
    """
    from tasks.prefect_strict import check_prefect_file

    check_prefect_file()
    asyncio.run(_create_pools(settings))
    deploy(dict(os.environ))
    asyncio.run(_apply_automations(settings))
    asyncio.run(_first_look())


def deploy(environment: dict[str, str]) -> None:
    """Deploy everything in prefect.yaml to the server that `environment` names.

    Raises
    ------
    FloorError
        Prefect refused; its own words were printed.
    """
    _run_python(environment, "prefect", "--no-prompt", "deploy", "--all")


def _run_python(environment: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", *words]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        print(result.stdout, result.stderr, sep="\n", flush=True)
        raise FloorError(f"{' '.join(words)} failed; its output is above")


async def _create_pools(settings: Settings) -> None:
    # Importing Prefect costs a second, which the other step need not pay.
    from prefect.client.orchestration import get_client

    from console.pools import create_pools

    async with get_client() as client:
        await create_pools(client, settings)


async def _apply_automations(settings: Settings) -> None:
    """Bring the automations in; a start of the floor goes on without, and tells people.

    No agent needs them to trade. A person who deploys by hand is told by the error instead.
    """
    # Importing Prefect costs a second, which the other step need not pay.
    from tasks.alerts import Alerts
    from tasks.automations import apply_automations

    try:
        applied = await apply_automations(settings)
    except Exception as error:
        if SUPERVISED_HOME not in os.environ:
            if isinstance(error, FloorError):
                raise
            raise FloorError(f"the automations can't be brought in: {error!r}") from error
        log.error("automations_not_brought_in", reason=str(error))
        async with Alerts(settings) as alerts:
            alerts.post("error", f"Prefect's automations were not brought in: {error}")
        return
    log.info(
        "automations",
        created=applied.created,
        updated=applied.updated,
        removed=applied.removed,
        unchanged=len(applied.unchanged),
    )


async def _first_look() -> None:
    from tasks.handover import start_run

    await start_run("supervise/supervise", f"start-{os.environ.get(INSTANCE) or time.time()}")


STEPS = {"database": database, "deployments": deployments}


def main(arguments: list[str]) -> int:
    configure_logs()
    name = arguments[0] if arguments else ""
    if name not in STEPS:
        log.error("unknown_step", step=name, known=sorted(STEPS))
        return WRONG_SETTINGS
    started = time.monotonic()
    try:
        STEPS[name](load_settings())
    except ConfigError as error:
        log.error("wrong_settings", step=name, reason=str(error))
        _mark(name, "failed", str(error))
        return WRONG_SETTINGS
    except FloorError as error:
        log.error("step_failed", step=name, reason=str(error))
        return 1
    _mark(name, "done")
    log.info("done", step=name, seconds=round(time.monotonic() - started, 1))
    return 0


def _mark(name: str, how: str, note: str = "") -> None:
    """Record how the step ended, for the programs and people that wait for it."""
    home = os.environ.get(SUPERVISED_HOME)
    if home is None:
        return
    before = read_launch(Path(home), name)
    me = Identity.of(os.getpid())
    starts = before.starts if before is not None else []
    instance = os.environ.get(INSTANCE, "")
    write_launch(Path(home), name, LaunchRecord(me.pid, me.created, how, instance, note, starts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
