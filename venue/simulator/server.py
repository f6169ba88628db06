"""The simulator as one aiohttp server: REST and WebSockets on a single port.

sim = await start_simulator(SimulatorConfig(window_seconds=60))
...   # sim.url + "/clob", "/gamma", "/data", "/relayer"; sim.ws_url + "/ws/market", ...
await sim.close()
"""

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from engine.ports import Clock
from models.errors import ConfigError
from models.units import SECOND_NS
from venue.simulator.admin import Admin
from venue.simulator.clock import WallClock
from venue.simulator.config import SimulatorConfig
from venue.simulator.data_api import DataApi
from venue.simulator.edge import Edge
from venue.simulator.gamma import Gamma
from venue.simulator.http import MAX_BODY, refusals
from venue.simulator.relayer import Relayer
from venue.simulator.rest_extras import Extras
from venue.simulator.rest_private import PrivateRest
from venue.simulator.rest_public import PublicRest
from venue.simulator.world import World

log = structlog.get_logger(__name__)
SHORTEST_NAP_S, LONGEST_NAP_S = 0.002, 0.05


@dataclass(slots=True)
class RunningSimulator:
    """A started simulator. `url` is ``http://host:port``, `ws_url` the same with ``ws``."""

    url: str
    ws_url: str
    port: int
    world: World
    _runner: web.AppRunner
    _heart: "asyncio.Task[None]"
    _closed: bool = field(default=False)

    async def step(self) -> None:
        """Let everything happen that is due by the clock's time (for tests with a still clock)."""
        self.world.advance()
        self.world.commit()
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop serving; what clients own is already on disk."""
        if self._closed:
            return
        self._closed = True
        self._heart.cancel()
        with suppress(asyncio.CancelledError):
            await self._heart
        if self.world.mirror is not None:
            await self.world.mirror.close()
        for hub in self.world.hubs():
            await hub.close()
        await self._runner.cleanup()
        self.world.close()


async def start_simulator(config: SimulatorConfig, clock: Clock | None = None) -> RunningSimulator:
    """Start a simulator in this event loop.

    Raises
    ------
    ConfigError
        The recording is malformed, or missing although `liquidity` insists on it, or the port
        is taken. Nothing is left running.
    """
    listener = _listen(config)
    try:
        world = World(config, clock or WallClock())
    except BaseException:
        listener.close()
        raise
    try:
        world.open()
        if world.mirror is not None:
            await world.mirror.run()
        runner = web.AppRunner(_app(world), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.SockSite(runner, listener).start()
    except BaseException:
        world.close()
        listener.close()
        raise
    port = listener.getsockname()[1]
    heart = asyncio.create_task(_beat(world), name="simulator-clockwork")
    log.info(
        "simulator_started", port=port, liquidity=world.liquidity,
        description=world.description, window_seconds=config.window_seconds,
    )  # fmt: skip
    return RunningSimulator(
        f"http://{config.host}:{port}", f"ws://{config.host}:{port}", port, world, runner, heart
    )


def _listen(config: SimulatorConfig) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"port {config.port} can't be used by the simulator ({error.strerror}); "
            "free it or set SIM_PORT to another one"
        ) from error
    listener.setblocking(False)
    return listener


def _app(world: World) -> web.Application:
    middlewares = [refusals, written_first(world)]
    if world.config.address_limits:
        middlewares.append(Edge(world.edge_scale).middleware)
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY)
    app.add_routes(PublicRest(world).routes("/clob"))
    private = PrivateRest(world, "/clob")
    app.add_routes(private.routes())
    app.add_routes(Extras(private.check, world.rebates).routes("/clob", "/rfq"))
    app.add_routes(Gamma(world.registry, world).routes("/gamma"))
    app.add_routes(DataApi(world).routes("/data"))
    app.add_routes(Relayer().routes("/relayer", "/rpc"))
    app.add_routes(Admin(world).routes("/admin"))
    app.add_routes(
        [
            web.get("/ws/market", world.tape.channel.handle),
            web.get("/ws/user", world.users.handle),
            web.get("/ws/prices", world.prices.handle),
            web.get("/ws/live", world.live.handle),
        ]
    )
    return app


def written_first(world: World) -> Middleware:
    """Let readers wait for this turn's commit: what is not on disk is not told."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if world.unwritten and request.method == "GET":
            await world.committed()
        return await handler(request)

    return middleware


async def _beat(world: World) -> None:
    """Run the schedule as time passes; handlers run it too, so that nobody sees the past."""
    loop, woken = asyncio.get_running_loop(), asyncio.Event()
    world.schedule.sooner = woken.set
    while True:
        try:
            world.advance()
            world.commit()
        except Exception:
            log.exception("simulator_clockwork_failed")
        following = world.schedule.next_ns()
        nap = LONGEST_NAP_S
        if following is not None:
            nap = min(nap, max(0.0, (following - world.now()) / SECOND_NS))
        timer = loop.call_later(max(SHORTEST_NAP_S, nap), woken.set)
        await woken.wait()
        timer.cancel()
        woken.clear()
