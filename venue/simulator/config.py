"""What the simulator is told before it starts."""

from dataclasses import dataclass, field
from pathlib import Path

from engine.matching.types import ExchangeConfig, FeeRounding, SelfTrade
from models.fills import FillModel
from models.settings import Liquidity, Settings, TradingMode
from models.travel import Travel
from models.units import to_cash_e6
from venue.polymarket.endpoints import Endpoints, endpoints

RECORDING = Path("polymarket_btc_15m_book5_2026-02") / "book5_1hz.parquet"
"""The recording of 15-minute books, below the folder of recorded data."""


@dataclass(frozen=True, slots=True)
class Series:
    """One family of windows: an asset's up/down markets of one nominal length."""

    asset: str
    timeframe: str


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """Everything the simulator depends on; tests build it by hand.

    Parameters
    ----------
    home
        Folder of the simulator's own database. None keeps everything in memory.
    recording
        The recorded books; None or a missing file means there is no recording.
    liquidity
        ``replay`` insists on the recording, ``model`` ignores it, ``auto`` takes what is there.
    window_seconds
        Length of every window; None keeps the real ones (900 s, 300 s).
    capital_e6
        What a wallet is given when it authenticates for the first time, in e6 of pUSD.
    taker_delay_ms
        How long a marketable order waits, uncancellable, before it matches.
    exchange
        Rules the venue leaves open: the fee's rounding, meeting oneself, and the like.
    settle_ms
        After how many milliseconds a match is MINED and then CONFIRMED.
    strike_lag_ms, resolve_lag_ms
        How late Gamma knows the price to beat, and how late a window resolves after its end.
    rate_limits, address_limits
        Whether orders and cancels of a signer, and requests of an address, are limited.
    fill_model
        Where a client's order stands among the recorded or mirrored depth at its price.
    feed_latency, order_latency
        How long frames of market and prices travel to clients, and their orders, cancels and
        heartbeats to the market, beyond what the network takes.
    mirror
        Set for paper trading: copy this venue's markets, books and prices.
    """

    port: int = 0
    host: str = "127.0.0.1"
    home: Path | None = None
    recording: Path | None = None
    liquidity: Liquidity = Liquidity.AUTO
    window_seconds: int | None = None
    seed: int = 7
    capital_e6: int = 1_000_000_000
    taker_delay_ms: int = 150
    exchange: ExchangeConfig = field(default_factory=ExchangeConfig)
    settle_ms: tuple[int, int] = (2_000, 5_000)
    strike_lag_ms: int = 4_000
    resolve_lag_ms: int = 3_000
    heartbeat_silence_ms: int = 10_000
    rate_limits: bool = True
    address_limits: bool = True
    history_windows: int = 200
    series: tuple[Series, ...] = field(
        default_factory=lambda: (
            Series("BTC", "15m"),
            Series("BTC", "5m"),
            Series("ETH", "15m"),
            Series("ETH", "5m"),
        )
    )
    fill_model: FillModel = FillModel.BACK
    feed_latency: Travel = field(default_factory=Travel)
    order_latency: Travel = field(default_factory=Travel)
    mirror: Endpoints | None = None


def config_from_settings(settings: Settings) -> SimulatorConfig:
    """Translate the floor's settings; paper trading mirrors the venue its URLs name."""
    paper = settings.trading_mode is TradingMode.PAPER
    return SimulatorConfig(
        port=settings.sim_port,
        host=settings.listen_host,
        home=settings.floor_home / "sim",
        recording=settings.floor_data_dir / RECORDING,
        liquidity=settings.sim_liquidity,
        window_seconds=settings.sim_window_seconds,
        seed=settings.sim_seed,
        capital_e6=to_cash_e6(settings.initial_capital),
        taker_delay_ms=settings.sim_taker_delay_ms,
        exchange=ExchangeConfig(
            fee_rounding=FeeRounding[settings.sim_fee_rounding.upper()],
            self_trade=SelfTrade[settings.sim_self_trade.upper()],
        ),
        fill_model=settings.fill_model,
        feed_latency=settings.feed_latency,
        order_latency=settings.order_latency,
        mirror=endpoints(settings) if paper else None,
    )
