"""Drills on the processes that trade, and on the worker that starts them."""

import asyncio
import signal

import psutil

from models.errors import StoreUnavailable
from tasks.drilling import harm
from tasks.drilling.scene import Drill, Expect, Scene

STALE_S = 5.0
"""How long a process that woke up too late is watched for orders it must not send."""


async def kill_trader(scene: Scene) -> None:
    harm.kill([await scene.stage.trader(scene.agent)])


async def term_trader(scene: Scene) -> None:
    (await scene.stage.trader(scene.agent)).send_signal(signal.SIGTERM)


async def freeze_trader(scene: Scene) -> None:
    process = await scene.stage.trader(scene.agent)
    scene.later("the frozen trader", harm.freeze([process]))


async def hang_trader(scene: Scene) -> None:
    process = await scene.stage.trader(scene.agent)
    let_go = await asyncio.to_thread(harm.hang, process)
    scene.later("the hung trader", let_go)


async def starve_trader(scene: Scene) -> None:
    """Give the trader no more memory: what it has it keeps, every further allocation fails."""
    process = await scene.stage.trader(scene.agent)
    most = process.memory_info().vms // 2
    scene.later("the trader's memory", harm.limit(process, psutil.RLIMIT_AS, most))


async def fill_disk(scene: Scene) -> None:
    """No file of the trader may grow any more: every write fails as on a full disk."""
    process = await scene.stage.trader(scene.agent)
    scene.later("the trader's disk", harm.limit(process, psutil.RLIMIT_FSIZE, 0))


async def kill_worker(scene: Scene) -> None:
    harm.kill([scene.stage.program("traders")])


async def stop_worker(scene: Scene) -> None:
    scene.stage.program("traders").send_signal(signal.SIGTERM)


async def kill_host(scene: Scene) -> None:
    """Worker and all its sessions at once, as when their host loses power."""
    everything = harm.family(scene.stage.program("traders"))
    harm.kill(everything)
    scene.note(f"{len(everything)} processes killed")


async def stale_sends_nothing(scene: Scene) -> None:
    """Wake the old process after its replacement trades: it must send nothing, and go."""
    await scene.heal()
    await asyncio.sleep(STALE_S)
    await no_order_of_old_session(scene)


async def no_order_of_old_session(scene: Scene) -> None:
    """Fail where the exchange took an order of the old session after the new one's first."""
    orders = await scene.stage.accepted(1000)
    late = [one for one in orders if one.created_ns > scene.again_ns > 0]
    try:
        tokens = await scene.stage.tokens([one.order_id for one in late])
    except StoreUnavailable as error:
        scene.fail(f"orders of the old session could not be looked for: {error}")
        return
    stale = [
        order_id
        for order_id, (agent, token) in tokens.items()
        if agent == scene.agent and token <= scene.token
    ]
    for order_id in stale:
        scene.fail(f"order {order_id[:18]} was sent by the session that had been replaced")
    scene.note(f"{len(late)} orders since, {len(stale)} of the old session")


DRILLS = (
    Drill(
        "kill-trader",
        "SIGKILL to the trading process",
        kill_trader,
        Expect.REPLACED,
        target_s=20,
        probe=no_order_of_old_session,
    ),
    Drill(
        "oom",
        "SIGKILL to the trading process, as the kernel does when memory runs out",
        kill_trader,
        Expect.REPLACED,
        target_s=20,
        probe=no_order_of_old_session,
    ),
    Drill(
        "term-trader",
        "SIGTERM to the trading process",
        term_trader,
        Expect.REPLACED,
        target_s=30,
        probe=no_order_of_old_session,
    ),
    Drill(
        "freeze-trader",
        "SIGSTOP to the trading process until it is replaced, then SIGCONT",
        freeze_trader,
        Expect.REPLACED,
        target_s=60,
        until_again=True,
        probe=stale_sends_nothing,
        sign="^(lease|restart|heartbeat|event session_ended)",
    ),
    Drill(
        "hang",
        "event loop of the trading process stopped (ptrace), its other threads run",
        hang_trader,
        Expect.REPLACED,
        target_s=60,
        until_again=True,
        probe=stale_sends_nothing,
        sign="^(lease|restart|heartbeat|event session_ended|log traders: watchdog)",
    ),
    Drill(
        "memory",
        "address space of the trading process limited (RLIMIT_AS): allocations fail",
        starve_trader,
        Expect.EITHER,
        target_s=90,
        lasts_s=45,
        full_s=180,
        sign="^(lease|restart|heartbeat|log traders|event)",
    ),
    Drill(
        "disk-full",
        "no file of the trading process may grow (RLIMIT_FSIZE 0)",
        fill_disk,
        Expect.THROUGH,
        target_s=60,
        lasts_s=45,
        full_s=300,
        sign="^(log traders|event)",
    ),
    Drill(
        "kill-worker",
        "SIGKILL to the worker; its sessions are orphans",
        kill_worker,
        Expect.REPLACED,
        target_s=60,
        probe=no_order_of_old_session,
    ),
    Drill(
        "stop-worker",
        "SIGTERM to the worker, which is started again",
        stop_worker,
        Expect.REPLACED,
        target_s=60,
        probe=no_order_of_old_session,
    ),
    Drill(
        "kill-host",
        "SIGKILL to the worker and every session at once",
        kill_host,
        Expect.REPLACED,
        target_s=60,
        probe=no_order_of_old_session,
    ),
)
