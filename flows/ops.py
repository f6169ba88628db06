"""Serve the floor's short, frequent flows from one process: ``python -m flows.ops``."""

import asyncio

from models.settings import load_settings
from tasks.inprocess import serve_pool
from tasks.logs import configure_logs

POOL = "ops"
FLOWS = ("flows.supervise.supervise", "flows.reconcile.reconcile")


def main() -> None:
    configure_logs(load_settings().log_level)
    asyncio.run(serve_pool(POOL, name="ops", preload=FLOWS))


if __name__ == "__main__":
    main()
