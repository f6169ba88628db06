"""Feature windows and indicators: incremental forms here, array forms in `arrays`.

Array forms need scipy and are for research; nothing on a trader's path imports them.
"""

from strategies.features.averages import Ema, Macd, Sma
from strategies.features.base import Indicator
from strategies.features.dispersion import Bollinger, RealisedVolatility, ZScore
from strategies.features.flow import (
    MicroPrice,
    OrderFlowImbalance,
    VolumeSpike,
    flow_step,
    micro_price,
)
from strategies.features.history import History
from strategies.features.oscillators import Atr, Rsi
from strategies.features.ring import FeatureWindow
from strategies.features.spec import Feature, Source

__all__ = [
    "Atr",
    "Bollinger",
    "Ema",
    "Feature",
    "FeatureWindow",
    "History",
    "Indicator",
    "Macd",
    "MicroPrice",
    "OrderFlowImbalance",
    "RealisedVolatility",
    "Rsi",
    "Sma",
    "Source",
    "VolumeSpike",
    "ZScore",
    "flow_step",
    "micro_price",
]
