"""What a wrong file of automations does to the step that brings them in."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from console import steps
from console.environment import SUPERVISED_HOME
from models.errors import ConfigError
from models.settings import Settings
from tasks import automations


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    path = tmp_path / "automations.yaml"
    path.write_text("automations:\n  - nmae: x\n")
    monkeypatch.setattr(automations, "AUTOMATIONS_FILE", path)
    return Settings(_env_file=None, floor_home=tmp_path)  # type: ignore[call-arg]


async def test_a_person_who_deploys_is_told_file_and_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SUPERVISED_HOME, raising=False)
    with pytest.raises(ConfigError, match=r"automations\.yaml, line 2: .*did you mean 'name'"):
        await steps._apply_automations(settings)


async def test_a_floor_that_starts_goes_on_without_and_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SUPERVISED_HOME, str(settings.floor_home))
    with capture_logs() as said:
        await steps._apply_automations(settings)
    (line,) = [each for each in said if each["event"] == "automations_not_brought_in"]
    assert line["log_level"] == "error"
    assert "line 2" in line["reason"]
