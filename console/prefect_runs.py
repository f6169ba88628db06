"""Having the running floor do something: a run of one of its deployments."""

import asyncio
from typing import Any

from console.environment import prefect_api_url, prefect_ui_url
from models.errors import FloorError
from models.settings import Settings


def start(settings: Settings, deployment: str, parameters: dict[str, Any]) -> str:
    """Start a run of ``flow/deployment`` and return its link in Prefect's UI.

    Raises
    ------
    FloorError
        The floor's Prefect server does not answer, or has no such deployment.
    """
    return asyncio.run(_start(settings, deployment, parameters))


async def _start(settings: Settings, deployment: str, parameters: dict[str, Any]) -> str:
    # Importing Prefect costs a second, which commands that run here need not pay.
    import httpx
    from prefect.client.orchestration import PrefectClient
    from prefect.exceptions import ObjectNotFound

    api = prefect_api_url(settings)
    login = settings.prefect_auth.get_secret_value() if settings.prefect_auth else None
    try:
        async with PrefectClient(
            api, auth_string=login, httpx_settings={"timeout": 10.0}
        ) as client:
            found = await client.read_deployment_by_name(deployment)
            run = await client.create_flow_run_from_deployment(found.id, parameters=parameters)
    except ObjectNotFound:
        raise FloorError(
            f"{deployment} is not deployed; `floor up` or `prefect --no-prompt deploy --all` "
            "deploys it"
        ) from None
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        raise FloorError(
            f"the floor's Prefect server at {api} does not answer ({type(error).__name__}); "
            "`floor up` starts it"
        ) from None
    return f"{prefect_ui_url(settings)}/runs/flow-run/{run.id}"
