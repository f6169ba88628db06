"""What the server that forks the processes has imported, and compiled, before the first of them."""

import anyio._backends._asyncio
import httpcore

from engine.matching.warm import warm_up
from tasks.drilling import week_exchange
from tests.orders_model import session

# The first two are imported by the first request only, which takes half of a session's start.
__all__ = ["anyio", "httpcore", "session", "week_exchange"]

warm_up()
