"""What the server that forks the processes has imported, and compiled, before the first of them."""

from engine.matching.warm import warm_up
from tasks.drilling import week_exchange
from tests.orders_model import session

__all__ = ["session", "week_exchange"]

warm_up()
