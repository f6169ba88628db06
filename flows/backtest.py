"""Backtest: one run over recorded markets, its report kept as files and shown in Prefect's UI."""

import asyncio
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from models.settings import load_settings
from tasks.backtesting import Backtest, Progress
from tasks.logs import configure_logs
from tasks.markdown import artifact_key
from tasks.run_pages import run_page, run_rows
from tasks.spec_files import run_of
from tasks.steps import Gauge, in_thread


@flow(name="backtest", flow_run_name="backtest")
async def backtest(
    spec: dict[str, Any] | str, out: str | None = None, overwrite: bool = False
) -> State[None]:
    """Load the recording, run the agents, work out the figures, keep and show them.

    Parameters
    ----------
    spec
        A run's keys and values, or the path of a run file, relative to this project.
    out
        Folder to make; default one in FLOOR_HOME/runs.
    overwrite
        Replace the saved run in `out`.
    """
    settings = load_settings()
    configure_logs(settings.log_level)
    asked = run_of(spec)
    gauge = Gauge()
    work = Backtest(asked, settings, lambda progress: _show(gauge, progress))
    await load_data(work, gauge)
    await run_agents(work, gauge)
    await summarise(work)
    folder = await save_report(work, out, overwrite)
    await show_report(work)
    if work.result.failures:
        names = ", ".join(work.result.failures)
        return Failed(message=f"failed: {names}; the report with its traceback is in {folder}")
    return Completed(message=f"P&L {work.summary.total.money.pnl_e6 / 1e6:+,.2f} USD; {folder}")


@task(name="load data", cache_policy=NO_CACHE)
async def load_data(work: Backtest, gauge: Gauge) -> None:
    """Map the recording's tape, made first where it must be."""
    await in_thread(work.load, work.stop, gauge, artifact_key("loading", work.spec.name))


@task(name="run agents", cache_policy=NO_CACHE)
async def run_agents(work: Backtest, gauge: Gauge) -> None:
    """Play the tape to the agents."""
    await in_thread(work.play, work.stop, gauge, artifact_key("running", work.spec.name))


@task(name="summarise", cache_policy=NO_CACHE)
async def summarise(work: Backtest) -> None:
    """Work out every figure."""
    work.summarise()


@task(name="save report", cache_policy=NO_CACHE)
async def save_report(work: Backtest, out: str | None, overwrite: bool) -> Path:
    """Keep tables, figures and the HTML report in a folder, all of it or nothing."""
    folder = None if out is None else Path(out)
    return await asyncio.to_thread(work.save, folder, overwrite=overwrite)


@task(name="show report", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2)
async def show_report(work: Backtest) -> None:
    """Show the figures in Prefect's UI, with the place of the whole report."""
    assert work.folder is not None
    name = work.spec.name
    await acreate_markdown_artifact(
        run_page(work.folder, work.summary, work.result),
        key=artifact_key("backtest", name),
        description=f"{name}: {work.summary.total.money.pnl_e6 / 1e6:+,.2f} USD",
    )
    await acreate_table_artifact(
        run_rows(work.summary), key=artifact_key("figures", name), description=f"{name}: figures"
    )


def _show(gauge: Gauge, progress: Progress) -> None:
    gauge.show(progress.done, progress.total, f"{progress.step}: {progress.done:,} rows")
