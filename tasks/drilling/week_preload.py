"""What the server that forks a week's processes has imported, and compiled, before the first."""

from engine.matching.warm import warm_up
from tasks.drilling import week_exchange, week_session

__all__ = ["week_exchange", "week_session"]

warm_up()
