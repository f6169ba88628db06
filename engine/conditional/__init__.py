"""Conditional orders: when they fire, and how what they sell is sold exactly once."""

from engine.conditional.guards import Guards

__all__ = ["Guards"]
