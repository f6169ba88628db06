from pathlib import Path

import pytest

from models.errors import ConfigError
from strategies.momentum import Momentum
from tasks.agent_files import AGENTS_DIR, find_agent, load_agent, load_agents, read_agents

GOOD = """
name: mine
strategy: momentum
markets: [{asset: BTC, timeframe: 15m}]
capital_usd: 100
"""


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_the_shipped_agents_are_good() -> None:
    assert load_agents(AGENTS_DIR).keys() >= {"momentum-btc-15m", "market-maker-btc-15m"}


def test_a_good_file_is_read(tmp_path: Path) -> None:
    spec = load_agent(write(tmp_path, GOOD))
    assert (spec.name, spec.capital_e6) == ("mine", 100_000_000)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("capital_usd: 100", "capital_usd: 100\ncapital_us: 3"),
            "unknown key 'capital_us'; did you mean 'capital_usd'",
        ),
        (("capital_usd: 100", ""), "key 'capital_usd' is missing"),
        (("capital_usd: 100", "capital_usd: -1"), "capital_usd=-1: "),
        (("capital_usd: 100", "capital_usd: much"), "capital_usd='much': "),
        (("strategy: momentum", "strategy: momentun"), "momentun"),
        (("15m", "16m"), "unknown timeframe '16m'; use one of 5m, 15m"),
        (("name: mine", "name: yours"), "name 'yours' must be the file's name 'mine'"),
        (("name: mine", "name: Mine!"), "name='Mine!': "),
        (("capital_usd: 100", "capital_usd: 100\nparameters: {lookback: 3}"), "lookback"),
        (
            ("capital_usd: 100", "capital_usd: 100\nrisk: {max_loss: 3}"),
            "unknown key 'risk.max_loss",
        ),
        (("name: mine", "name: [mine"), "is not valid YAML"),
        ((GOOD, "just words"), "must hold keys and values"),
        ((GOOD, ""), "must hold keys and values"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_agent(write(tmp_path, GOOD.replace(*change)))
    text = str(caught.value)
    assert text.startswith("mine.yaml: ")
    assert said in text
    assert "\n" not in text


def test_every_wrong_file_is_named_and_the_good_ones_can_still_be_had(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, "x: 1", "first")
    write(tmp_path, "[", "second")
    with pytest.raises(ConfigError, match=r"(?s)first\.yaml.*second\.yaml"):
        load_agents(tmp_path)
    specs, faults = read_agents(tmp_path)
    assert list(specs) == ["mine"]
    assert faults


def test_a_strategy_that_raises_spoils_only_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Momentum, params: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Momentum, "__init__", broken)
    write(tmp_path, GOOD)
    write(tmp_path, GOOD.replace("mine", "good").replace("momentum", "market-maker"), "good")
    specs, faults = read_agents(tmp_path)
    assert list(specs) == ["good"]
    assert "mine.yaml: strategy 'momentum' fails" in faults[0]


def test_an_unknown_agent_is_answered_with_those_there_are(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(ConfigError, match="no agent 'other'; there are: mine"):
        find_agent("other", tmp_path)


def test_a_path_is_not_an_agent_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no agent"):
        find_agent("../../secrets", tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        load_agent(path)
