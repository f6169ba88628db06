"""The backtester: the live engine on a historical clock over a recorded tape.

The same strategies, desk, risk check, order manager, portfolio and settlement as live; only the
venue is played (`engine.fills`), and time passes as fast as the tape can be read.
"""

from engine.backtest.config import BacktestAgent, BacktestConfig
from engine.backtest.run import run
from models.travel import Travel

__all__ = ["BacktestAgent", "BacktestConfig", "Travel", "run"]
