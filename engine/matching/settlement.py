"""Which price settles a market, and who wins: `models.settlement`."""

from models.settlement import TWAP_LAG_S, TWAP_SECONDS, Tick, settlement_price, winner

__all__ = ["TWAP_LAG_S", "TWAP_SECONDS", "Tick", "settlement_price", "winner"]
