"""Simulated results under the three assumptions about queues, as `floor status` shows them."""

import io
from typing import Any

import pytest
from rich.console import Console

from console import view
from console.status import FloorStatus, as_json

PNL = {"exchange": "0.10", "pessimistic": "-1.20", "central": "0.30", "optimistic": "2.10"}


def status(liquidity: dict[str, Any] | None) -> FloorStatus:
    return FloorStatus(
        up=True, mode="paper", home="/srv/floor", uptime_s=1.0, prefect_ui="", halt="",
        liquidity=liquidity, programs=[], agents=[], agents_unknown="",
    )  # fmt: skip


def test_all_three_results_and_the_real_one_are_shown() -> None:
    told = status({"liquidity": "mirror", "fill_model": "back", "pnl": PNL})
    console = Console(file=io.StringIO(), width=160)
    console.print(view.render(told))
    assert isinstance(console.file, io.StringIO)
    line = (
        "P&L in $ under FILL_MODEL=back: exchange 0.10, pessimistic -1.20, central 0.30, "
        "optimistic 2.10"
    )
    assert f"fills       {line}" in console.file.getvalue()
    assert f"fills: {line}" in view.plain_lines(told)
    assert as_json(told)["liquidity"]["pnl"] == PNL


@pytest.mark.parametrize("liquidity", [None, {}, {"pnl": {}}, {"pnl": "unknown"}])
def test_without_results_there_is_no_line(liquidity: dict[str, Any] | None) -> None:
    told = status(liquidity)
    assert view.fill_results(told) == ""
    assert not any(line.startswith("fills") for line in view.plain_lines(told))
