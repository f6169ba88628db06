"""Sweep: a search over parameters, judged on what came after; its page kept and shown."""

from typing import Any

from prefect import flow, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect_dask.task_runners import DaskTaskRunner

from models.runs import SweepSpec
from models.settings import load_settings
from tasks.backtesting import Progress
from tasks.logs import configure_logs
from tasks.markdown import artifact_key
from tasks.spec_files import sweep_of
from tasks.steps import Gauge, in_thread
from tasks.sweeping.pages import sweep_page
from tasks.sweeping.run import Hire, Saved, Sweep


@flow(name="sweep", flow_run_name="sweep")
async def sweep(spec: dict[str, Any] | str, fresh: bool = False) -> State[None]:
    """Search, choose and judge fold by fold; a sweep that was stopped goes on.

    Parameters
    ----------
    spec
        A sweep's keys and values, or the path of a sweep file, relative to this project. With
        `dask` in it the backtests run on that cluster.
    fresh
        Forget what an earlier start of the same sweep has done.
    """
    configure_logs(load_settings().log_level)
    asked = sweep_of(spec)
    saved = await (_on_cluster(asked, fresh) if asked.dask else search(asked, fresh))
    await show_report(saved)
    chosen = sum(fold.chosen is not None for fold in saved.result.folds)
    message = f"{chosen} of {len(saved.result.folds)} folds have a choice; {saved.folder}"
    end = Completed if chosen == len(saved.result.folds) else Failed
    return end(message=message)


@task(name="search", cache_policy=NO_CACHE)
async def search(spec: SweepSpec, fresh: bool) -> Saved:
    """Search on processes of this machine."""
    return await _search(spec, fresh, None)


async def _on_cluster(spec: SweepSpec, fresh: bool) -> Saved:
    """Search on a Dask cluster: the flow's task runner holds the connection."""
    assert spec.dask is not None
    # Its futures are Dask's own, which its type does not say.
    runner: Any = DaskTaskRunner(address=spec.dask)
    saved: Saved = await search_on_dask.with_options(task_runner=runner)(spec, fresh)
    return saved


@flow(name="search-on-dask", flow_run_name="search on Dask", persist_result=False)
async def search_on_dask(spec: SweepSpec, fresh: bool) -> Saved:
    """Search on the cluster of this flow's task runner, a job a backtest: tasks would cost more."""
    from tasks.sweeping.cluster import flow_crew

    return await _search(spec, fresh, flow_crew)


async def _search(spec: SweepSpec, fresh: bool, hire: Hire | None) -> Saved:
    gauge = Gauge()

    def tell(progress: Progress) -> None:
        note = f"{progress.step}: {progress.done:,} of {progress.total:,} {progress.note}"
        gauge.show(progress.done, progress.total, note.strip())

    work = Sweep(spec, load_settings(), tell, hire, fresh)
    return await in_thread(work.run, work.stop, gauge, artifact_key("sweeping", spec.run.name))


@task(name="show report", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2)
async def show_report(saved: Saved) -> None:
    """Show what was found in Prefect's UI, with the place of the whole page."""
    out = saved.result.out_of_sample
    pnl = "nothing to judge on" if out is None else f"{out.pnl_e6 / 1e6:+,.2f} USD out of sample"
    await acreate_markdown_artifact(
        sweep_page(saved.folder, saved.result),
        key=artifact_key("sweep", saved.result.name),
        description=f"{saved.result.name}: {pnl}",
    )
