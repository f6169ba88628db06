"""Market maker: quote both sides around a fair value and earn the spread."""

from pydantic import Field

from strategies.base import Strategy, StrategyParams


class MarketMakerParams(StrategyParams):
    half_spread_ticks: int = Field(1, ge=1, le=50, description="Distance from fair, ticks.")
    size_shares: float = Field(20, ge=5, le=100_000, description="Shares per quote.")
    max_inventory_shares: float = Field(
        100, ge=5, le=1_000_000, description="Most shares of one side, net of the other."
    )


class MarketMaker(Strategy):
    """Quote both sides around the fair value of the digital."""

    name = "market-maker"
    Params = MarketMakerParams
