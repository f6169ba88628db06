"""The simulator as a process that can be killed, on a clock that somebody else moves."""

import asyncio
import logging
import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog

from models.markets import Outcome, Side
from models.settings import Liquidity
from models.units import SECOND_NS
from tasks.drilling.week_clock import SharedClock
from venue.simulator import model
from venue.simulator.bank import TAKER
from venue.simulator.config import Series, SimulatorConfig
from venue.simulator.server import RunningSimulator, start_simulator

TURNS = 4
"""Turns of the event loop in which what was published is handed to the network."""


@dataclass(frozen=True, slots=True)
class ExchangeSpec:
    home: Path
    clock: Path
    port: int = 0
    taker_delay_ms: int = 0
    seed: int = 7
    history_windows: int = 200
    capital_e6: int = 1_000_000_000
    """What the wallet is given."""
    silence_s: float = 10.0
    """After so long without a heartbeat an agent's orders are cancelled."""
    book_every_s: int = 1
    """How often the model's book moves; its takers come as often as ever."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A stranger takes whatever the book holds up to a price."""

    outcome: Outcome
    side: Side
    price_e4: int
    size_e6: int


@dataclass(frozen=True, slots=True)
class Advance:
    """Let everything happen that is due, and tell everybody; answers the memory used, in bytes."""


def main(pipe: Connection, spec: ExchangeSpec) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(_serve(pipe, spec))


async def _serve(pipe: Connection, spec: ExchangeSpec) -> None:
    model.STEP_NS = spec.book_every_s * SECOND_NS
    model.TAKERS_PER_STEP *= spec.book_every_s
    config = SimulatorConfig(
        port=spec.port, home=spec.home / "sim", liquidity=Liquidity.MODEL, seed=spec.seed,
        taker_delay_ms=spec.taker_delay_ms, rate_limits=False, address_limits=False,
        series=(Series("BTC", "15m"),), history_windows=spec.history_windows,
        capital_e6=spec.capital_e6, heartbeat_silence_ms=round(spec.silence_s * 1_000),
    )  # fmt: skip
    sim = await start_simulator(config, SharedClock(spec.clock))
    asked: asyncio.Queue[Any] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def hear() -> None:
        try:
            asked.put_nowait(pipe.recv())
        except EOFError:
            asked.put_nowait(None)

    loop.add_reader(pipe.fileno(), hear)
    pipe.send(sim.port)
    while (wanted := await asked.get()) is not None:
        if isinstance(wanted, Sweep):
            _sweep(sim, wanted)
        elif isinstance(wanted, Advance):
            await sim.step()
            for _ in range(TURNS):
                await asyncio.sleep(0)
        pipe.send(memory())
    loop.remove_reader(pipe.fileno())
    await sim.close()


def memory() -> int:
    """Resident memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _sweep(sim: RunningSimulator, sweep: Sweep) -> None:
    """Trade in every open window that has started, as the model's own takers do."""
    world = sim.world
    world.advance()
    now: Any = world.now()
    for window in world.registry.all():
        market = window.market
        if window.closed or not market.start_ns <= now < market.end_ns:
            continue
        events = world.exchange.take(
            window.condition_id, TAKER, market.token(sweep.outcome), sweep.side, sweep.price_e4,
            sweep.size_e6, now,
        )  # fmt: skip
        world.clerk.absorb(events, now)
    world.commit()
