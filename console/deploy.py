"""`floor deploy`: everything of prefect.yaml and of automations.yaml, into a Prefect server."""

import subprocess
import sys

import httpx
import typer

from console.environment import child_environment, prefect_api_url
from models.errors import FloorError
from models.settings import ROOT, Settings, load_settings

ANSWER_S = 5.0


def deploy() -> None:
    """Deploy flows, work pools and automations to the floor's Prefect server, or to PREFECT_URL's.

    A second time changes nothing. `floor up` does it too; this is for a floor that runs already,
    and for a Prefect server of your own.
    """
    settings = load_settings()
    deploy_everything(settings)
    typer.echo(f"deployed to {prefect_api_url(settings)}")


def deploy_everything(settings: Settings) -> None:
    """Run the step `deployments` (see console/steps.py) against the settings' Prefect server.

    Raises
    ------
    FloorError
        No server answers, or the step failed; its own words were printed.
    """
    url = prefect_api_url(settings)
    try:
        # No proxy: the floor's own server is on this machine, and health needs no password.
        httpx.get(f"{url}/health", timeout=ANSWER_S, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise FloorError(
            f"no Prefect server answers at {url} ({type(error).__name__}); `floor up` starts the "
            "floor's own, PREFECT_URL names another"
        ) from None
    # A process of its own: Prefect reads its settings once, when it is imported.
    done = subprocess.run(
        [sys.executable, "-m", "console.steps", "deployments"],
        cwd=ROOT,
        env=child_environment(settings),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        raise FloorError("not deployed; the reason is above")
