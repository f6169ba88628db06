"""`floor data`: what is recorded, what is wrong with it, and tapes made of it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from models.settings import load_settings

data_app = typer.Typer(help="See, check and convert recorded markets.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Source = Annotated[Path, typer.Argument(help="A tape or a recording: a file or its folder.")]
Moment = datetime | None


@data_app.command(name="list")
def list_(as_json: Json = False) -> None:
    """List what lies in FLOOR_DATA_DIR and what reads it."""
    from console.tapes import show_sets

    show_sets(load_settings().floor_data_dir, as_json)


@data_app.command()
def info(tape: Annotated[Path, typer.Argument(help="A tape file.")], as_json: Json = False) -> None:
    """Show a tape's markets, times, rows by kind, and what reading its source found."""
    from console.tapes import show_info

    show_info(tape, as_json)


@data_app.command()
def check(
    path: Source,
    gap: Annotated[
        float, typer.Option("--gap", min=0.001, help="Seconds of silence that count as a gap.")
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Look through a tape or a recording for what is wrong. Exit code 1 if anything is."""
    from console.tapes import show_check

    raise typer.Exit(1 if show_check(path, gap, as_json) else 0)


@data_app.command()
def convert(
    source: Source,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; .parquet exports one.")],
    start: Annotated[Moment, typer.Option("--start", help="First moment wanted, UTC.")] = None,
    end: Annotated[Moment, typer.Option("--end", help="Moment after the last, UTC.")] = None,
    timeframe: Annotated[
        str, typer.Option("--timeframe", help="Windows that bars are cut into.")
    ] = "15m",
    asset: Annotated[
        str, typer.Option("--asset", help="Asset of CSV markets whose ids are no slugs.")
    ] = "",
    assets: Annotated[
        list[str] | None, typer.Option("--assets", help="Assets of captures; repeat it.")
    ] = None,
    spread: Annotated[
        float, typer.Option("--spread", min=0.0001, help="Dollars between an assumed bid and ask.")
    ] = 0.02,
    depth: Annotated[int, typer.Option("--depth", min=1, help="Levels of modelled books.")] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of modelled books.")] = 7,
    volume: Annotated[
        str, typer.Option("--volume", help="CSV volume: ignore, interval or cumulative.")
    ] = "ignore",
    gap: Annotated[
        float | None, typer.Option("--gap", min=0.001, help="Silence that counts as dark, seconds.")
    ] = None,
) -> None:
    """Make a tape of a recording; of a tape, its Parquet when --out ends in .parquet."""
    from console import tapes

    if out.suffix == ".parquet":
        tapes.export(source, out)
        return
    options = tapes.options_of(
        start=start, end=end, timeframe=timeframe, asset=asset, assets=assets, spread=spread,
        depth=depth, seed=seed, volume=volume, gap=gap,
    )  # fmt: skip
    tapes.make_tape(source, out, options)
