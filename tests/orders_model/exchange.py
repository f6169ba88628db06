"""The simulator as a process that can be killed: `main` runs in it, `Exchange` drives it."""

import asyncio
import logging
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog

from models.markets import Outcome, Side
from models.settings import Liquidity
from tests.orders_model.clock import SharedClock
from venue.simulator.bank import TAKER
from venue.simulator.config import Series, SimulatorConfig
from venue.simulator.server import RunningSimulator, start_simulator


@dataclass(frozen=True, slots=True)
class ExchangeSpec:
    home: Path
    clock: Path
    port: int = 0
    taker_delay_ms: int = 0
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Sweep:
    """A stranger takes whatever the book holds up to a price."""

    outcome: Outcome
    side: Side
    price_e4: int
    size_e6: int


def main(pipe: Connection, spec: ExchangeSpec) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(_serve(pipe, spec))


async def _serve(pipe: Connection, spec: ExchangeSpec) -> None:
    config = SimulatorConfig(
        port=spec.port, home=spec.home / "sim", liquidity=Liquidity.MODEL, seed=spec.seed,
        taker_delay_ms=spec.taker_delay_ms, rate_limits=False, address_limits=False,
        series=(Series("BTC", "15m"),),
    )  # fmt: skip
    sim = await start_simulator(config, SharedClock(spec.clock))
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear() -> None:
        try:
            wanted = pipe.recv()
        except EOFError:
            ended.set()
            return
        if isinstance(wanted, Sweep):
            _sweep(sim, wanted)
        pipe.send("done")

    loop.add_reader(pipe.fileno(), hear)
    pipe.send(sim.port)
    await ended.wait()
    loop.remove_reader(pipe.fileno())
    await sim.close()


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
