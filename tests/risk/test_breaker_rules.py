"""Breakers as people write them: defaults, overrides, and what is wrong by file and line."""

import pytest

from models.errors import ConfigError
from models.settings import ROOT
from risk.breaker_rules import KINDS, Rules, kind_of, subject_of
from risk.breakers import MarketNorms, Positions, Rearm
from risk.policies import load

CAPITAL_E6 = 1_000_000_000


def of(text: str) -> Rules:
    return load(text, "risk.yaml", CAPITAL_E6).rules


def test_the_shipped_file_says_what_the_defaults_are() -> None:
    text = (ROOT / "deployments" / "risk.yaml").read_text()
    file = load(text, "risk.yaml", CAPITAL_E6)
    assert {rule.name for rule in file.breakers} == set(KINDS)
    for rule in file.breakers:
        assert rule == KINDS[rule.name]()


def test_a_breaker_left_out_keeps_its_default_and_one_given_is_taken() -> None:
    rules = of(
        "breakers:\n"
        "  - {name: agent-losses, max_in_a_row: 3, rearm: manual, positions: flatten}\n"
        "  - {name: stale-data, enabled: false}\n"
    )
    assert (rules.losses.max_in_a_row, rules.floor.share) == (3, 0.15)
    policy = rules.policy("agent-losses:alpha")
    assert (policy.name, policy.rearm, policy.positions) == (
        "agent-losses:alpha", Rearm.MANUAL, Positions.FLATTEN,
    )  # fmt: skip
    assert not rules.enabled("stale-data")
    assert rules.enabled("agent-losses:alpha")
    assert rules.market.norms == MarketNorms()


def test_a_breaker_nobody_knows_waits_for_a_person() -> None:
    rules = Rules()
    assert not rules.enabled("of-an-older-version")
    assert rules.policy("of-an-older-version:x").rearm is Rearm.MANUAL


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{name: agent-loses}", "unknown breaker 'agent-loses'; did you mean 'agent-losses'?"),
        ("{max_s: 3}", "a breaker has no name"),
        ("{name: agent-losses, max_in_row: 3}", "did you mean 'max_in_a_row'?"),
        ("{name: floor-drawdown, share: 1.5}", "floor-drawdown: share=1.5"),
        ("{name: clock-skew, rearm: never}", 'clock-skew: rearm="never"'),
        ("{name: market-anomaly, positions: flatten}", 'market-anomaly: positions="flatten"'),
        ("{name: stale-data, cooldown_s: -1}", "stale-data: cooldown_s=-1"),
    ],
)
def test_faults_name_file_line_breaker_and_key(line: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of(f"policies: []\nbreakers:\n  - {{name: database-lost}}\n  - {line}\n")
    assert str(caught.value).startswith("risk.yaml:4: ")
    assert words in str(caught.value)


def test_one_given_twice_is_a_fault() -> None:
    with pytest.raises(ConfigError, match=r"risk.yaml:3: breaker clock-skew is given twice"):
        of("breakers:\n  - {name: clock-skew}\n  - {name: clock-skew, max_s: 3}\n")


def test_full_names() -> None:
    assert (kind_of("agent-losses:a"), subject_of("agent-losses:a")) == ("agent-losses", "a")
    assert (kind_of("api-errors"), subject_of("api-errors")) == ("api-errors", "")
