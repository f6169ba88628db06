"""Where the venue is: addresses by trading mode."""

from dataclasses import dataclass

from models.settings import Settings, TradingMode


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of one venue, without trailing slashes.

    ``clob`` takes the orders; ``clob_data`` is asked for books and markets. They differ only in
    paper trading, where orders go to the simulator and data come from the live venue.
    """

    clob: str
    clob_data: str
    gamma: str
    data: str
    relayer: str
    ws_market: str
    ws_user: str
    ws_prices: str
    ws_live: str


LIVE_WS = "wss://ws-live-v2.polymarket.com/ws"


def endpoints(settings: Settings) -> Endpoints:
    """Addresses for the settings' trading mode."""
    if settings.trading_mode is TradingMode.LIVE:
        return _live(settings)
    local = _simulator(settings.simulator_url)
    if settings.trading_mode is TradingMode.SIM:
        return local
    live = _live(settings)
    return Endpoints(
        clob=local.clob,
        clob_data=live.clob,
        gamma=live.gamma,
        data=live.data,
        relayer=local.relayer,
        ws_market=live.ws_market,
        ws_user=local.ws_user,
        ws_prices=live.ws_prices,
        ws_live=live.ws_live,
    )


def _live(settings: Settings) -> Endpoints:
    clob = settings.polymarket_clob_url.rstrip("/")
    return Endpoints(
        clob=clob,
        clob_data=clob,
        gamma=settings.polymarket_gamma_url.rstrip("/"),
        data=settings.polymarket_data_url.rstrip("/"),
        relayer=settings.polymarket_relayer_url.rstrip("/"),
        ws_market=settings.polymarket_ws_market_url,
        ws_user=settings.polymarket_ws_user_url,
        ws_prices=settings.polymarket_ws_prices_url,
        ws_live=LIVE_WS,
    )


def _simulator(http: str) -> Endpoints:
    ws = f"ws{http.removeprefix('http')}"
    return Endpoints(
        clob=f"{http}/clob",
        clob_data=f"{http}/clob",
        gamma=f"{http}/gamma",
        data=f"{http}/data",
        relayer=f"{http}/relayer",
        ws_market=f"{ws}/ws/market",
        ws_user=f"{ws}/ws/user",
        ws_prices=f"{ws}/ws/prices",
        ws_live=f"{ws}/ws/live",
    )
