"""Drills on what traders need: Postgres, Redis, Prefect's server, the ops process, the venue."""

import asyncio

import psutil

from tasks.drilling import harm
from tasks.drilling.scene import Drill, Expect, Scene, Strike

AWAY = r"^(event .*(store|suspend|placing_paused)|heartbeat says|lease|restart|log traders)"
RUNS_AGAIN = "^program {} started again"


def kill_program(name: str) -> Strike:
    async def strike(scene: Scene) -> None:
        harm.kill([scene.stage.program(name)])

    return strike


def stop_program(name: str) -> Strike:
    """Stop a program and keep it stopped until the fault is over."""

    async def strike(scene: Scene) -> None:
        programs = scene.stage.programs
        scene.later(f"program {name}", lambda: asyncio.to_thread(programs.start, name))
        await asyncio.to_thread(programs.stop, name)

    return strike


def freeze_program(name: str) -> Strike:
    """Stop a program and all below it in their tracks: connections stay open, nothing answers."""

    async def strike(scene: Scene) -> None:
        victims: list[psutil.Process] = harm.family(scene.stage.program(name))
        scene.later(f"frozen {name}", harm.freeze(victims))

    return strike


async def disk_full_without_postgres(scene: Scene) -> None:
    """Neither the database nor the spool can be written: nothing may be signed."""
    process = await scene.stage.trader(scene.agent)
    scene.later("the trader's disk", harm.limit(process, psutil.RLIMIT_FSIZE, 0))
    await stop_program("postgres")(scene)


DRILLS = (
    Drill(
        "kill-ops",
        "SIGKILL to the ops process (supervise, reconcile, risk watch)",
        kill_program("ops"),
        Expect.THROUGH,
        target_s=60,
        service="ops",
        sign=RUNS_AGAIN.format("ops"),
    ),
    Drill(
        "kill-simulator",
        "SIGKILL to the exchange: the venue is down until it is started again",
        kill_program("simulator"),
        Expect.EITHER,
        target_s=60,
        service="simulator",
        sign="^(program simulator|event feed|event .*paused|log traders)",
    ),
    Drill(
        "kill-redis",
        "SIGKILL to Redis, which comes back empty",
        kill_program("redis"),
        Expect.THROUGH,
        target_s=60,
        service="redis",
        sign="^(program redis|log .*redis|event own_share)",
    ),
    Drill(
        "redis-away",
        "Redis stopped and kept from starting",
        stop_program("redis"),
        Expect.THROUGH,
        target_s=60,
        lasts_s=30,
        full_s=180,
        sign="^(log .*redis|event own_share)",
    ),
    Drill(
        "kill-postgres",
        "SIGKILL to Postgres, which recovers and comes back",
        kill_program("postgres"),
        Expect.EITHER,
        target_s=60,
        service="postgres",
        sign="^(program postgres|event .*store|log traders|log ops)",
    ),
    Drill(
        "postgres-away",
        "Postgres stopped and kept from starting",
        stop_program("postgres"),
        Expect.AFTER,
        target_s=60,
        lasts_s=30,
        full_s=300,
        sign=AWAY,
    ),
    Drill(
        "postgres-frozen",
        "Postgres stopped in its tracks (SIGSTOP): connections stay open, nothing answers",
        freeze_program("postgres"),
        Expect.AFTER,
        target_s=60,
        lasts_s=30,
        full_s=120,
        sign=AWAY,
    ),
    Drill(
        "disk-full-postgres-away",
        "Postgres stopped while no file of the trading process may grow",
        disk_full_without_postgres,
        Expect.AFTER,
        target_s=60,
        lasts_s=20,
        sign=AWAY,
    ),
    Drill(
        "prefect-server-kill",
        "SIGKILL to the Prefect server",
        kill_program("prefect"),
        Expect.THROUGH,
        target_s=60,
        service="prefect",
        sign=RUNS_AGAIN.format("prefect"),
    ),
    Drill(
        "prefect-server-away",
        "Prefect server stopped and kept from starting",
        stop_program("prefect"),
        Expect.THROUGH,
        target_s=60,
        lasts_s=90,
        full_s=180,
        sign="^(log ops|log traders|program)",
    ),
)
