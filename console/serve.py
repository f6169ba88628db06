"""`floor serve NAME`: one program of the floor in this very process, for containers.

A container's supervisor restarts what ends, so nothing of ours stands between it and the program:
signals reach the program itself. The traders' worker is `floor worker`, which stays to hand its
agents over when it is told to end.
"""

import os
from dataclasses import replace
from typing import Annotated

import typer

from console.environment import HERE, PROGRAM, SUPERVISED_HOME
from console.launch import become, first_record, prepare_signals, wait_for_needs
from console.processes import find_program
from console.records import run_folder, write_launch
from models.errors import ConfigError
from models.settings import load_settings
from tasks.logs import configure_logs

Name = Annotated[str, typer.Argument(help="One of deployments/processes.yaml.")]


def serve(name: Name) -> None:
    """Wait for what one program of the floor needs, then become it (for containers)."""
    program, settings = find_program(name), load_settings()
    if not program.command:
        raise ConfigError(f"{name} is an embedded server; run one of your own beside the floor")
    if program.name == "traders":
        raise ConfigError("`floor worker` runs the traders' worker, and hands over when it ends")
    home = settings.floor_home
    for folder in (home, run_folder(home), home / "prefect", home / "tmp"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ |= {PROGRAM: name, HERE: name, SUPERVISED_HOME: str(home)}
    configure_logs(settings.log_level)
    prepare_signals()
    record = first_record(home, program, "")
    write_launch(home, name, record)
    wait_for_needs(
        program, settings, "", lambda note: write_launch(home, name, replace(record, note=note))
    )
    become(program, settings, replace(record, state="running"))
