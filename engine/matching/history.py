"""The venue's rules by date, as backtests of the exchange core use them: `models.history`."""

from models.history import (
    FEE,
    FIRST_FEE,
    NO_FEE,
    fee_schedule,
    settlement_rule,
    taker_delay_ms,
)

__all__ = ["FEE", "FIRST_FEE", "NO_FEE", "fee_schedule", "settlement_rule", "taker_delay_ms"]
