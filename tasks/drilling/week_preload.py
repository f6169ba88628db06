"""What the server that forks a week's processes has imported, and compiled, before the first."""

import anyio._backends._asyncio
import httpcore

from engine.matching.warm import warm_up
from tasks.drilling import week_exchange, week_session

# The first two are imported by the first request only, which takes half of a session's start.
__all__ = ["anyio", "httpcore", "week_exchange", "week_session"]

warm_up()
