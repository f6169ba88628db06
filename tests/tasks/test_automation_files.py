"""Files of automations: what is wrong is named with its line, what is right is filled in."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from models.errors import ConfigError
from tasks.automation_files import Deployed, MissingAutomation, Server, read_entries
from tasks.automations import AUTOMATIONS_FILE

GOOD = """\
automations:
  - name: watch
    trigger:
      type: event
      posture: Proactive
      expect: [prefect.flow-run.*]
      within: 180
    actions:
      - {type: do-nothing}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "automations.yaml"
    path.write_text(text)
    return path


def shipped(webhooks: int = 1) -> list[AutomationCore]:
    """The shipped automations on a server with two agents."""
    agents = [Deployed(uuid4(), name, frozenset({"floor", "trader"})) for name in ("anna", "bob")]
    other = Deployed(uuid4(), "collect", frozenset({"floor", "collect"}))
    triggers = {f"restart-{each.name}": uuid4() for each in [*agents, other]}
    server = Server([*agents, other], triggers, [uuid4() for _ in range(webhooks)])
    found = [each for entry in read_entries(AUTOMATIONS_FILE) for each in entry.automations(server)]
    assert not [each for each in found if isinstance(each, MissingAutomation)]
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("within: 180", "whithin: 180", "line 7: automations.0.trigger.whithin: unknown key; did"),
        (
            "name: watch",
            "nam: watch",
            "line 2: automations.0.nam: unknown key; did you mean 'name'",
        ),
        ("name: watch", "enabled: true", "line 2: automations.0: key 'name' is missing"),
        ("within: 180", "threshold: lots", "line 7: automations.0.trigger.threshold: Input should"),
        ("within: 180", "within: 5", "line 3: automations.0.trigger: `within` for Proactive"),
        ("within: 180", "within: soon", "line 3: automations.0.trigger: a value is of the wr"),
        ("type: event", "type: evnt", "line 4: automations.0.trigger.type: unknown 'evnt'; known"),
        ("do-nothing", "do-noting", "line 9: automations.0.actions.0.type: unknown 'do-noting'"),
        ("{type: do-nothing}", "{type: notify}", "line 9: automations.0.actions.0: key 'body' is"),
        (
            "{type: do-nothing}",
            "{type: notify, body: x, sujbect: y}",
            "actions.0.sujbect: unknown key; did you mean 'subject'?",
        ),
        (
            "{type: do-nothing}",
            "{type: change-flow-run-state, state: scheduled}",
            "may be launched twice",
        ),
        ("{type: do-nothing}", "{type: pause-automation}", "automation_id is required"),
        ("name: watch", "name: watch $agent", "line 2: automations.0.name: $agent stands for"),
        (
            "name: watch",
            "for_deployments_tagged: trader\n    name: watch",
            "needs $deployment: for_deployments_tagged makes several",
        ),
        ("name: watch", "name: a\n    name: b", "line 3: automations.0.name: is there twice"),
        ("automations:", "automation:", "automation: unknown key; did you mean 'automations'?"),
        ("- name: watch", "- just words", "is not valid YAML"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigError) as refused:
        read_entries(path)
    assert "automations.yaml" in str(refused.value)
    assert complaint in str(refused.value)


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = GOOD + GOOD.partition("\n")[2]
    with pytest.raises(ConfigError, match="'watch' is there twice"):
        read_entries(write(tmp_path, twice))


def test_an_entry_for_deployments_becomes_one_for_each() -> None:
    names = {each.name for each in shipped()}
    assert {"floor-crash-loop-anna", "floor-crash-loop-bob"} <= names
    assert not [name for name in names if "collect" in name or "$" in name]


def test_an_automation_the_server_lacks_leaves_only_that_entry_out() -> None:
    anna = Deployed(uuid4(), "anna", frozenset({"trader"}))
    server = Server([anna], {}, [])
    found = [each for entry in read_entries(AUTOMATIONS_FILE) for each in entry.automations(server)]
    missing = [str(each) for each in found if isinstance(each, MissingAutomation)]
    assert missing == ["restart-anna", "restart-anna"]
    assert len(found) > len(missing)


@pytest.mark.parametrize("webhooks", [0, 1, 2])
def test_a_notice_goes_to_every_webhook_there_is(webhooks: int) -> None:
    silent = next(each for each in shipped(webhooks) if each.name == "floor-supervise-silent")
    kinds = [action.type for action in silent.actions]
    assert kinds == (["send-notification"] * webhooks or ["do-nothing"])


def test_no_shipped_automation_can_end_or_double_a_session_that_trades() -> None:
    """What may act on runs at all, and how long a silence must be before it does."""
    for each in shipped():
        kinds = {action.type for action in each.actions}
        assert kinds <= {
            "change-flow-run-state",
            "pause-automation",
            "resume-automation",
            "send-notification",
            "do-nothing",
        }
        for action in each.actions:
            if action.type == "change-flow-run-state":
                assert action.state.value == "CRASHED"  # type: ignore[union-attr]
                # The name is what triggers go by: a false verdict must not start a run.
                assert action.name == "NoHeartbeat"  # type: ignore[union-attr]
        assert isinstance(each.trigger, EventTrigger)
        if each.trigger.posture is Posture.Proactive:
            assert each.trigger.within.total_seconds() >= 120, each.name
            # Without both, the server itself starts the next count after each silence.
            assert each.trigger.after and each.trigger.for_each, f"{each.name} fires for ever"


def test_the_made_up_server_of_the_check_is_not_the_real_one() -> None:
    ids = {
        action.automation_id  # type: ignore[union-attr]
        for each in shipped()
        for action in each.actions
        if action.type == "pause-automation"
    }
    assert len(ids) == 2 and UUID(int=0) not in ids
