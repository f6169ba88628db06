"""What may be done and what it is worth: limits, sizing, valuation. Pure."""
