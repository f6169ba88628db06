"""`floor deploy`; tests/flows/test_automations.py deploys to a real server with it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from console.deploy import deploy_everything
from models.errors import FloorError
from models.settings import Settings


def test_without_a_server_it_says_which_one_and_what_to_do(
    tmp_path: Path, programs: SimpleNamespace
) -> None:
    port = programs.free_port()
    settings = Settings(_env_file=None, floor_home=tmp_path, prefect_port=port)  # type: ignore[call-arg]
    with pytest.raises(FloorError) as refused:
        deploy_everything(settings)
    assert f"http://127.0.0.1:{port}/api" in str(refused.value)
    assert "`floor up`" in str(refused.value)
    assert "PREFECT_URL" in str(refused.value)
