"""A simulator on loopback with a clock that stands still until a test moves it."""

import asyncio
import dataclasses
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from eth_account import Account
from polymarket import AsyncSecureClient, SecureClient
from polymarket._internal.environment import PRODUCTION_CONFIG, create_environment
from polymarket.environments import Environment

from models.settings import Settings
from models.units import SECOND_NS
from venue.simulator import sources
from venue.simulator.clock import ManualClock
from venue.simulator.config import RECORDING, SimulatorConfig
from venue.simulator.server import RunningSimulator, start_simulator
from venue.simulator.sources import RECORDED
from venue.simulator.windows import Window

START_S = 1_800_003_600
"""Start of a window in which the first recorded window is played; later than any test runs."""
OWNER = Account.from_key("0x" + "a1" * 32)
OTHER = Account.from_key("0x" + "b2" * 32)


def environment(sim: RunningSimulator) -> Environment:
    """The official SDK's environment with every address turned to the simulator."""
    config = dataclasses.replace(
        PRODUCTION_CONFIG,
        clob_url=sim.url + "/clob",
        gamma_url=sim.url + "/gamma",
        data_url=sim.url + "/data",
        relayer_url=sim.url + "/relayer",
        rpc_url=sim.url + "/rpc",
        rfq_url=sim.url + "/rfq",
        clob_market_ws_url=sim.ws_url + "/ws/market",
        clob_user_ws_url=sim.ws_url + "/ws/user",
        rtds_ws_url=sim.ws_url + "/ws/prices",
        realtime_ws_url=sim.ws_url + "/ws/live",
    )
    return create_environment(name="simulator", config=config)


@dataclass
class Stage:
    """A running simulator, its clock, and shortcuts."""

    sim: RunningSimulator
    clock: ManualClock

    @property
    def url(self) -> str:
        return self.sim.url

    @property
    def window(self) -> Window:
        """The running btc-updown-15m window."""
        return self.window_at(0)

    def window_at(self, ahead: int) -> Window:
        now_s = self.clock.now_ns() // SECOND_NS
        start = now_s - now_s % 900 + 900 * ahead
        return self.sim.world.registry.by_slug[f"btc-updown-15m-{start}"]

    @property
    def up(self) -> str:
        return self.window.market.up_token

    @property
    def down(self) -> str:
        return self.window.market.down_token

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.sim.step()

    async def ledger(self, address: str = OWNER.address) -> dict[str, Any]:
        async with httpx.AsyncClient() as http:
            response = await http.get(f"{self.url}/admin/ledger/{address}")
        assert response.status_code == 200, response.text
        return response.json()

    async def fault(self, name: str, **params: Any) -> None:
        async with httpx.AsyncClient() as http:
            response = await http.post(f"{self.url}/admin/faults", json={"name": name, **params})
        assert response.status_code == 200, response.text

    async def client(self, account: Any = OWNER, **options: Any) -> AsyncSecureClient:
        options.setdefault("wallet", account.address)
        return await AsyncSecureClient.create(
            private_key="0x" + bytes(account.key).hex(),
            environment=environment(self.sim),
            **options,
        )


class Threaded:
    """The official synchronous client behind the asynchronous one's face.

    Every call runs in a thread, as the simulator needs this one; so a scenario is written once.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in ("_ctx", "secure_clob"):
            return Threaded(found)
        if not callable(found):
            return found
        if name.startswith("list_"):
            return lambda *args, **options: ThreadedPages(found(*args, **options))

        async def call(*args: Any, **options: Any) -> Any:
            return await asyncio.to_thread(found, *args, **options)

        return call


class ThreadedPages:
    """A paginator of the synchronous client, read in a thread."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def iter_items(self) -> AsyncIterator[Any]:
        for item in await asyncio.to_thread(lambda: list(self._inner.iter_items())):
            yield item


async def open_client(stage: Stage, kind: str) -> Any:
    """The owner's official client, ``async`` or ``sync``."""
    if kind == "async":
        return await stage.client()
    inner = await asyncio.to_thread(
        SecureClient.create,
        private_key="0x" + bytes(OWNER.key).hex(),
        wallet=OWNER.address,
        environment=environment(stage.sim),
    )
    return Threaded(inner)


@pytest.fixture(scope="session", autouse=True)
def quick_starts(tmp_path_factory) -> Iterator[None]:
    """Spare every test the two costs of a start that none of them is about.

    A client on loopback needs none of the certificate authorities it would read, and the recorded
    books are the same for every simulator.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("authorities")))
        patch.setattr(sources, "load_recording", functools.cache(sources.load_recording))
        yield


@pytest.fixture
def make_stage(tmp_path) -> Callable[..., Any]:
    """Start a simulator; further arguments change its configuration."""

    async def make(at_s: float = START_S + 300, **changes: Any) -> Stage:
        clock = ManualClock(round(at_s * SECOND_NS))
        config = SimulatorConfig(
            home=tmp_path / "sim",
            recording=Settings().floor_data_dir / RECORDING,
            taker_delay_ms=0,
            series=(RECORDED,),
        )
        sim = await start_simulator(dataclasses.replace(config, **changes), clock)
        return Stage(sim, clock)

    return make


@pytest.fixture
async def stage(make_stage) -> AsyncIterator[Stage]:
    """Five minutes into a replayed 15-minute window, no taker delay; BTC's 15 minutes alone."""
    stage = await make_stage()
    yield stage
    await stage.sim.close()


@pytest.fixture
async def client(stage) -> AsyncIterator[AsyncSecureClient]:
    """The official asynchronous client of an owner's plain wallet."""
    client = await stage.client()
    yield client
    await client.close()


async def eventually(what: str, check: Callable[[], Any], seconds: float = 5.0) -> Any:
    """Wait until `check` returns something true."""
    async with asyncio.timeout(seconds):
        while not (result := check()):
            await asyncio.sleep(0.01)
        return result
    raise AssertionError(what)
