from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.settings import ROOT
from models.units import USD
from risk import policies
from risk.policies import NAMES, Per, PolicyFile, load

CAPITAL = 1000 * USD
SHIPPED = ROOT / "deployments" / "risk.yaml"


def read(text: str) -> PolicyFile:
    return load(text, "risk.yaml", CAPITAL)


def test_the_shipped_file_has_every_policy() -> None:
    found = load(SHIPPED.read_text(encoding="utf-8"), "risk.yaml", CAPITAL)
    assert {policy.type for policy in found.policies} == set(NAMES)
    assert found.find("TradeLimit").limit_e6(CAPITAL) == 20 * USD
    assert found.find("AgentLimit").limit_e6(CAPITAL) == 100 * USD
    assert found.find("FloorLimit").limit_e6(CAPITAL) == 400 * USD
    assert found.find("DailyLoss", "floor").limit_e6(CAPITAL) == 100 * USD
    assert found.find("PositionLimit", Per.FLOOR).max_shares == 2000


def test_json_is_read_as_well() -> None:
    found = read('{"capital_usd": 500, "policies": [{"type": "TradeLimit", "max_usd": 3.5}]}')
    assert found.capital_e6(CAPITAL) == 500 * USD
    assert found.find("TradeLimit").limit_e6(1) == 3_500_000
    assert found.find("AgentLimit") is None


def test_an_empty_list_limits_nothing() -> None:
    assert read("policies: []").policies == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("policies:\n  - {type: Tradelimit, max_usd: 1}",
         "risk.yaml:2: unknown policy 'Tradelimit'; did you mean 'TradeLimit'"),
        ("policies:\n  - type: TradeLimit\n    max_us: 1", "risk.yaml:3: TradeLimit: unknown key "
         "'max_us'; did you mean 'max_usd'"),
        ("polices: []", "risk.yaml:1: unknown key 'polices'; did you mean 'policies'"),
        ("policies:\n- type: TradeLimit\n  max_usd: .nan", "risk.yaml:3: TradeLimit: max_usd=NaN"),
        ("policies:\n- type: TradeLimit\n  max_usd: -5", "risk.yaml:3: TradeLimit: max_usd=-5"),
        ("policies:\n- type: VarLimit\n  max_usd: 5\n  confidence: 95", "risk.yaml:4: VarLimit: "
         "confidence=95"),
        ("policies:\n- type: GreeksLimit\n  delta: .inf", "risk.yaml:3: GreeksLimit: delta=Inf"),
        ("policies:\n- type: GreeksLimit", "risk.yaml:2: GreeksLimit: give at least one"),
        ("policies:\n- type: PositionLimit", "risk.yaml:2: PositionLimit: key 'max_shares' is"),
        ("policies:\n- max_usd: 5", "risk.yaml:2: a policy has no type"),
        ("policies:\n\n- {type: TradeLimit}", "risk.yaml:3: TradeLimit: give either max_usd"),
        ("policies:\n- {type: OrderRate, per_second: 9, per_minute: 5}", "could never be used"),
        ("policies:\n- {type: KillSwitch}\n- {type: KillSwitch}",
         "risk.yaml:3: KillSwitch is given twice"),
        ("policies:\n- {type: PositionLimit, per: floor, max_shares: 1}\n"
         "- {type: PositionLimit, per: floor, max_shares: 2}", "PositionLimit per floor is given"),
        ("policies:\n- {type: TradeLimit, max_usd: 200}\n"
         "- {type: AgentLimit, share_of_capital: 0.1}",
         r"risk.yaml:2: TradeLimit of \$200.00 is above AgentLimit of \$100.00"),
        ("policies:\n- {type: FloorLimit, max_usd: 5}\n- {type: TradeLimit, max_usd: 6}",
         "risk.yaml:3: TradeLimit of"),
        ("policies:\n- {type: PositionLimit, max_shares: 9}\n"
         "- {type: PositionLimit, per: floor, max_shares: 8}",
         "risk.yaml:2: PositionLimit per market of 9"),
        ("policies: [", "risk.yaml:1: can't be read"),
        ("- a", "risk.yaml:1: must hold keys and values, not list"),
        ("", "risk.yaml:1: must hold keys and values"),
        ("capital_usd: -1", "risk.yaml:1: capital_usd=-1"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_named_with_its_line(text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        read(text)


def test_every_fault_has_its_own_line() -> None:
    with pytest.raises(ConfigError) as caught:
        read("policies:\n- {type: Foo}\n- {type: TradeLimit, max_usd: 0}\n- {type: Bar}")
    lines = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "3", "4"]


def test_a_share_of_nothing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"TradeLimit is nothing at a capital of \$0.00"):
        load("policies:\n- {type: TradeLimit, share_of_capital: 0.02}", "risk.yaml", 0)


@given(text=st.text(max_size=80))
def test_whatever_is_in_the_file_there_is_one_kind_of_error(text: str) -> None:
    try:
        read(text)
    except ConfigError as error:
        assert str(error).startswith("risk.yaml:")


def test_every_policy_says_what_it_means() -> None:
    for name in NAMES:
        assert getattr(policies, name).__doc__
    assert Path(SHIPPED).is_file()
