"""The reconcile flow against a real exchange, also while the floor is halted."""

import asyncio

import pytest

from flows import reconcile as module
from store import state
from tests.tasks.session_kit import Stage, run

pytestmark = pytest.mark.timeout(600)


async def test_books_are_compared_while_the_floor_is_halted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing trades then, but money moves: windows are paid out."""
    monkeypatch.setattr(module, "load_settings", lambda: stage.settings)
    assert (await module.reconcile.fn()).startswith("agrees: 0 trades compared")
    trading = asyncio.create_task(run(stage.session()))
    await stage.until("it fills", stage.fills)
    await state.set_halt(stage.database, "a drill")
    await trading

    async def agrees() -> bool:
        told = await module.reconcile.fn()
        return told.startswith("agrees: ") and not told.startswith("agrees: 0 ")

    await stage.until("its fills were compared and agree", agrees)
