"""`floor backtest`: run agents over recorded markets and keep what they made."""

from pathlib import Path
from typing import Annotated

import typer

from models.fills import FillModel

Text = str | None
Run = Annotated[
    Path | None, typer.Argument(metavar="[RUN.yaml]", help="A run file; or use the options below.")
]


def backtest(
    run: Run = None,
    strategy: Annotated[Text, typer.Option("--strategy", help="A strategy of the library.")] = None,
    agents: Annotated[
        list[str] | None, typer.Option("--agent", help="An agent file by name; repeat it.")
    ] = None,
    data: Annotated[
        Text, typer.Option("--data", help="A recorded set (see `floor data list`) or a path.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="Of the strategy; repeat it."),
    ] = None,
    asset: Annotated[str, typer.Option("--asset", help="What --strategy trades.")] = "BTC",
    timeframe: Annotated[str, typer.Option("--timeframe", help="Its windows.")] = "15m",
    start: Annotated[Text, typer.Option("--start", help="First moment, UTC.")] = None,
    end: Annotated[Text, typer.Option("--end", help="Last moment, UTC.")] = None,
    capital: Annotated[
        float | None, typer.Option("--capital", min=0.01, help="Of each agent, US dollars.")
    ] = None,
    fill_model: Annotated[
        FillModel | None, typer.Option("--fill-model", help="Our place in recorded queues.")
    ] = None,
    feed_latency: Annotated[
        Text, typer.Option("--feed-latency", help="0, constant:50ms or sampled:40ms:0.5.")
    ] = None,
    order_latency: Annotated[Text, typer.Option("--order-latency", help="As above.")] = None,
    policies: Annotated[
        Text, typer.Option("--policies", help="A policy file every order must pass too.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of all that is drawn.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to make; default one in FLOOR_HOME/runs.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the saved run in --out.")
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Show the report in a browser.")] = False,
    prefect: Annotated[
        bool, typer.Option("--prefect", "--via-prefect", help="Have the running floor do it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Run agents over recorded markets: a table here, tables and an HTML report in a folder.

    Exit code 0 when done, 1 when an agent's strategy raised, 2 when something asked for is wrong
    (nothing was run then), 130 when stopped (nothing was saved then).
    """
    from console import backtests

    asked = {
        "data": data, "start": start, "end": end, "capital": capital, "seed": seed,
        "fill_model": fill_model, "feed_latency": feed_latency, "order_latency": order_latency,
        "policies": policies,
    }  # fmt: skip
    wanted = backtests.Wanted(
        run, strategy, tuple(agents or ()), tuple(parameters or ()), asset, timeframe, asked
    )
    where = backtests.Where(out, overwrite, show, prefect, as_json)
    raise typer.Exit(backtests.do(wanted, where))
