"""Serve the floor's short, frequent flows from one process: ``python -m flows.ops``.

The risk watch runs beside them: it looks every few seconds, which no flow run should.
"""

import asyncio

from models.settings import Settings, load_settings
from tasks.inprocess import serve_pool
from tasks.logs import configure_logs
from tasks.risk_watch import keep_watching

POOL = "ops"
FLOWS = ("flows.supervise.supervise", "flows.reconcile.reconcile")


def main() -> None:
    settings = load_settings()
    configure_logs(settings.log_level)
    asyncio.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Serve the pool until cancelled, with the risk watch beside it."""
    watch = asyncio.create_task(keep_watching(settings), name="risk watch")
    try:
        await serve_pool(POOL, name="ops", preload=FLOWS)
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


if __name__ == "__main__":
    main()
