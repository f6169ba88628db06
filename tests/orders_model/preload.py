"""What the server that forks the processes has imported, and compiled, before the first of them."""

from engine.matching.warm import warm_up
from tests.orders_model import exchange, session

__all__ = ["exchange", "session"]

warm_up()
