"""One run of every shipped strategy on two simulators, side by side, recorded."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from models.settings import Liquidity
from tests.parity.sessions import LEAST, PARAMETERS, Place, agent, simulator, trade
from tests.parity.wanton import Wanton, wanton

SECONDS = 40.0


@contextmanager
def quiet() -> Iterator[None]:
    """Leave the logs out: eleven sessions at once say much that nobody reads."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Recordings by agent; every strategy has one on each kind of liquidity."""
    with quiet(), pytest.MonkeyPatch.context() as patch:
        # Clients on loopback need none of the certificate authorities they would each read.
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("authorities")))
        return asyncio.run(_record(tmp_path_factory.mktemp("parity")))


async def _record(home: Path) -> dict[str, Path]:
    async with (
        simulator("replay", home, Liquidity.REPLAY) as replay,
        simulator("model", home, Liquidity.MODEL) as model,
    ):
        found = await asyncio.gather(
            *(
                _session(place, strategy, home, nonce)
                for nonce, (strategy, place) in enumerate(
                    (strategy, place) for strategy in PARAMETERS for place in (replay, model)
                )
            ),
            trade(
                replay, agent(Wanton.name, Wanton.name, {}), 99, home / "wanton.rec", SECONDS / 3,
                wanton,
            ),
        )  # fmt: skip
    return {path.stem: path for path in found}


async def _session(place: Place, strategy: str, home: Path, nonce: int) -> Path:
    name = f"{strategy}-{place.name}"
    least = LEAST[strategy] if place.name == Liquidity.REPLAY else 0
    path = home / f"{name}.rec"
    return await trade(place, agent(name, strategy), nonce, path, SECONDS, least=least)
