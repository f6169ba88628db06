"""The matching core: pure, deterministic, integer base units, no clock of its own."""

from engine.matching.exchange import HOUSE, Exchange

__all__ = ["HOUSE", "Exchange"]
