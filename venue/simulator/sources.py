"""Choosing the liquidity: recording, model, and the spot paths that go with them."""

from dataclasses import dataclass

from models.errors import ConfigError
from models.markets import TIMEFRAMES
from models.settings import Liquidity
from venue.simulator.config import Series, SimulatorConfig
from venue.simulator.liquidity import LiquiditySource
from venue.simulator.model import ModelSource
from venue.simulator.recording import load_recording
from venue.simulator.replay import ReplaySource
from venue.simulator.spot import ModelPath, RecordedPath, SpotPath

RECORDED = Series("BTC", "15m")
"""The one family of windows there is a recording of."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Spot path by asset, and the source of each family of windows."""

    name: str
    description: str
    paths: dict[str, SpotPath]
    replay: ReplaySource | None
    model: ModelSource

    def of(self, series: Series) -> LiquiditySource:
        if self.replay is not None and series == RECORDED:
            return self.replay
        return self.model


def choose(config: SimulatorConfig) -> Sources:
    """Load what `config` asks for.

    Raises
    ------
    ConfigError
        The recording is malformed, or it is missing although ``replay`` asks for it.
    """
    assets = {series.asset for series in config.series}
    paths: dict[str, SpotPath] = {asset: ModelPath(asset, config.seed) for asset in assets}
    wanted = config.liquidity is not Liquidity.MODEL and RECORDED in config.series
    present = config.recording is not None and config.recording.is_file()
    if config.liquidity is Liquidity.REPLAY and not present:
        raise ConfigError(
            f"recording {config.recording} does not exist; set FLOOR_DATA_DIR to the folder of "
            "recorded data, or SIM_LIQUIDITY=model to do without it"
        )
    if not wanted or not present or config.recording is None:
        model = ModelSource(paths, config.seed)
        return Sources("model", model.description, paths, None, model)
    recording = load_recording(config.recording)
    speed = TIMEFRAMES[RECORDED.timeframe] / (
        config.window_seconds or TIMEFRAMES[RECORDED.timeframe]
    )
    paths[RECORDED.asset] = RecordedPath(recording, speed)
    replay = ReplaySource(recording)
    model = ModelSource(paths, config.seed)
    description = f"btc-updown-15m: {replay.description}; other windows: {model.description}"
    return Sources("replay", description, paths, replay, model)
