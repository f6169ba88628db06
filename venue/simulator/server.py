"""The simulator as one aiohttp server: REST and WebSockets on a single port.

sim = await start_simulator(SimulatorConfig(window_seconds=60))
...   # sim.url + "/clob", "/gamma", "/data", "/relayer"; sim.ws_url + "/ws/market", ...
await sim.close()
"""

from dataclasses import dataclass

from engine.ports import Clock
from venue.simulator.config import SimulatorConfig


@dataclass(slots=True)
class RunningSimulator:
    """A started simulator. `url` is ``http://host:port``, `ws_url` the same with ``ws``."""

    url: str
    ws_url: str
    port: int

    async def step(self) -> None:
        """Let everything happen that is due by the clock's time (for tests with a still clock)."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop serving; what clients own is already on disk."""
        raise NotImplementedError


async def start_simulator(config: SimulatorConfig, clock: Clock | None = None) -> RunningSimulator:
    """Start a simulator in this event loop.

    Raises
    ------
    ConfigError
        The recording is malformed, or missing although `liquidity` insists on it, or the port
        is taken. Nothing is left running.
    """
    raise NotImplementedError
