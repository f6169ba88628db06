"""The whole floor's money, across agents: what reconciliation compares with the venue."""

from dataclasses import dataclass

_CASH_CHANGE = """
    CASE WHEN status = 'FAILED' THEN 0
         WHEN side = 'BUY' THEN -cash - fee
         ELSE cash - fee END
"""


@dataclass(frozen=True, slots=True)
class Holding:
    """Shares of both tokens of one market, all agents together, in e6."""

    condition_id: str
    up_token: str
    down_token: str
    up_e6: int
    down_e6: int
    end_ns: int
