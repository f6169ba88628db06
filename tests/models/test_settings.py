"""Settings: what is allowed, what an error says, and that .env.example can't drift away."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import settings as module
from models.errors import ConfigError
from models.settings import (
    LIVE_CONFIRMATION,
    ROOT,
    Settings,
    TradingMode,
    is_secret,
    load_settings,
    misspellings,
    variables,
)

KEY = "0x" + "1b" * 32


@pytest.fixture(autouse=True)
def only_what_the_test_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "ENV_FILE", tmp_path / ".env")
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")
    yield


def refusal(monkeypatch: pytest.MonkeyPatch, **values: str) -> str:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    return str(caught.value)


def test_defaults_are_the_simulator_with_a_thousand_dollars() -> None:
    settings = load_settings()
    assert settings.trading_mode is TradingMode.SIM
    assert settings.initial_capital == 1000
    assert settings.database_url is None
    assert settings.floor_home == ROOT / ".floor"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("TRADING_MODE", "real", "'sim', 'paper' or 'live'"),
        ("ENVIRONMENT", "moon", "'development', 'test', 'staging' or 'production'"),
        ("LOG_LEVEL", "LOUD", "'WARNING'"),
        ("SIM_PORT", "70000", "less than or equal to 65535"),
        ("SIM_PORT", "http", "integer"),
        ("INITIAL_CAPITAL", "nan", "finite"),
        ("INITIAL_CAPITAL", "-1", "greater than 0"),
        ("INITIAL_CAPITAL", "1.0000001", "6 decimal"),
        ("HEARTBEAT_INTERVAL", "0", "greater than or equal to 1"),
        ("SIM_WINDOW_SECONDS", "5", "greater than or equal to 20"),
        ("POLYMARKET_WALLET", "0x12", "[0-9a-fA-F]{40}"),
        ("POLYMARKET_CLOB_URL", "clob", "https://host"),
        ("POLYMARKET_WS_USER_URL", "https://host/ws", "wss://host/path"),
    ],
)
def test_wrong_value_is_one_line_with_name_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    line = refusal(monkeypatch, **{name: value})
    assert "\n" not in line
    assert line.startswith(f"{name}={value!r}: ")
    assert allowed in line


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("DATABASE_URL", "mysql://u:hunter2@h/db", "postgresql://"),
        ("DATABASE_URL", "postgresql://u:hunter2@h", "names no database"),
        ("DATABASE_URL", "postgresql://u:hunter2@h:port/db", "postgresql://"),
        ("DATABASE_URL", "postgresql://u:hunter2@[h/db", "postgresql://"),
        ("REDIS_URL", "http://:hunter2@h", "redis://"),
        ("SLACK_WEBHOOK_URL", "hunter2", "https://"),
        ("DISCORD_WEBHOOK_URL", "ftp://hunter2", "https://"),
        ("POLYMARKET_PRIVATE_KEY", "hunter2", "64 hexadecimal digits"),
        ("POLYMARKET_PRIVATE_KEY", "0x" + "0" * 64, "64 hexadecimal digits"),
        ("POLYMARKET_PRIVATE_KEY", "f" * 64, "64 hexadecimal digits"),
    ],
)
def test_wrong_secret_is_named_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    line = refusal(monkeypatch, **{name: value})
    assert line.startswith(f"{name}=(not shown): ")
    assert allowed in line
    assert "hunter2" not in line
    assert value not in line


SECRETS = [name for name in variables() if is_secret(name)]


@given(name=st.sampled_from(SECRETS), noise=st.integers(0, 2**64))
def test_no_secret_leaks_whatever_is_wrong_with_it(name: str, noise: int) -> None:
    value = f"s3cr3t{noise:020d}"
    with pytest.raises(ConfigError) as caught:
        load_settings(**{name.lower(): value, "sim_port": 0})
    assert value not in str(caught.value)
    assert value not in repr(caught.value.__context__)


def test_secrets_are_the_addresses_with_passwords_and_the_key() -> None:
    assert set(SECRETS) == {
        "POLYMARKET_PRIVATE_KEY",
        "SIM_WALLET_KEY",
        "DATABASE_URL",
        "REDIS_URL",
        "PREFECT_AUTH",
        "SLACK_WEBHOOK_URL",
        "DISCORD_WEBHOOK_URL",
    }


def test_repr_hides_secrets() -> None:
    password = secrets.token_hex(8)
    settings = load_settings(
        polymarket_private_key=KEY, database_url=f"postgresql://u:{password}@h/floor"
    )
    assert KEY not in repr(settings)
    assert password not in repr(settings)


def test_every_wrong_variable_gets_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = refusal(monkeypatch, SIM_PORT="x", TRADING_MODE="real").splitlines()
    assert [line.partition("=")[0] for line in lines] == ["TRADING_MODE", "SIM_PORT"]


def test_live_needs_a_key_and_the_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    both = refusal(monkeypatch, TRADING_MODE="live").splitlines()
    assert [line.partition(" ")[0] for line in both] == [
        "POLYMARKET_PRIVATE_KEY",
        "LIVE_CONFIRMATION",
    ]
    almost = refusal(monkeypatch, POLYMARKET_PRIVATE_KEY=KEY, LIVE_CONFIRMATION="yes")
    assert LIVE_CONFIRMATION in almost
    assert KEY not in almost
    monkeypatch.setenv("LIVE_CONFIRMATION", LIVE_CONFIRMATION)
    assert load_settings().trading_mode is TradingMode.LIVE


def test_key_without_0x_is_the_same_key() -> None:
    settings = load_settings(polymarket_private_key="1b" * 32)
    assert settings.polymarket_private_key is not None
    assert settings.polymarket_private_key.get_secret_value() == KEY


def test_the_key_of_a_real_wallet_signs_nothing_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(monkeypatch, SIM_WALLET_KEY=KEY, POLYMARKET_PRIVATE_KEY=KEY)
    assert line.startswith("SIM_WALLET_KEY is POLYMARKET_PRIVATE_KEY")
    assert KEY not in line


def test_servers_others_can_reach_ask_for_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "set PREFECT_AUTH" in refusal(monkeypatch, LISTEN_HOST="0.0.0.0")
    monkeypatch.setenv("PREFECT_AUTH", "floor:word")
    assert load_settings().listen_host == "0.0.0.0"


@pytest.mark.parametrize("login", ["hunter2", ":hunter2", "hunter2:"])
def test_a_login_is_user_and_password_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    line = refusal(monkeypatch, PREFECT_AUTH=login)
    assert line == "PREFECT_AUTH=(not shown): must be user:password"


def test_a_named_hosts_worker_bears_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().worker_name == "traders"
    monkeypatch.setenv("HOST_NAME", "frankfurt-1")
    assert load_settings().worker_name == "traders-frankfurt-1"
    monkeypatch.setenv("HOST_NAME", "a:b")
    assert "HOST_NAME='a:b'" in refusal(monkeypatch)


def test_the_simulator_is_here_unless_it_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().simulator_url == "http://127.0.0.1:9001"
    monkeypatch.setenv("PREFECT_AUTH", "floor:word")
    monkeypatch.setenv("LISTEN_HOST", "0.0.0.0")
    assert load_settings().simulator_url == "http://127.0.0.1:9001"
    monkeypatch.setenv("LISTEN_HOST", "10.0.0.5")
    assert load_settings().simulator_url == "http://10.0.0.5:9001"
    monkeypatch.setenv("SIM_URL", "http://simulator:9001/")
    assert load_settings().simulator_url == "http://simulator:9001"


def test_words_may_be_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_MODE", "Paper")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    settings = load_settings()
    assert (settings.trading_mode, settings.log_level) == (TradingMode.PAPER, "DEBUG")


def test_order_limit_must_fit_the_position_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(monkeypatch, RISK_PER_TRADE="150")
    assert "RISK_PER_TRADE=150" in line
    assert "MAX_POSITION_SIZE=100" in line


def test_two_programs_cannot_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(monkeypatch, PREFECT_PORT="9001")
    assert line == "PREFECT_PORT=9001 is also SIM_PORT; they must differ"


def test_relative_folders_lie_below_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOOR_HOME", "somewhere/else")
    assert load_settings().floor_home == ROOT / "somewhere" / "else"
    monkeypatch.setenv("FLOOR_HOME", "/srv/floor")
    assert load_settings().floor_home == Path("/srv/floor")
    monkeypatch.setenv("FLOOR_HOME", "~/floor")
    assert load_settings().floor_home == Path.home() / "floor"


def test_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIM_PORT", "")
    assert load_settings().sim_port == 9001


def test_slip_in_env_file_is_an_error_that_names_the_right_variable() -> None:
    module.ENV_FILE.write_text(f"POLYMARKET_PRIVAT_KEY={KEY}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert str(caught.value) == (
        ".env: unknown variable POLYMARKET_PRIVAT_KEY; did you mean POLYMARKET_PRIVATE_KEY?"
    )


def test_env_file_may_hold_other_programs_variables() -> None:
    module.ENV_FILE.write_text("AWS_REGION=eu-west-1\nSIM_PORT=9002\n")
    assert load_settings().sim_port == 9002


def test_env_file_that_is_no_text_is_one_clear_error() -> None:
    module.ENV_FILE.write_bytes(b"SIM_PORT=\xff\xfe9001\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_settings()


@given(st.sampled_from(sorted(variables())))
def test_right_names_are_never_called_slips(name: str) -> None:
    assert misspellings({name: "", name.lower(): ""}) == []


def test_example_lists_every_variable_with_meaning_and_default() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    entries = re.findall(r"((?:^# .*\n)+)^#(\w+)=(.*)$", text, flags=re.MULTILINE)
    meanings = {name: comment for comment, name, _ in entries}
    given_values = {name.lower(): value for _, name, value in entries if value}
    assert list(meanings) == list(variables()), "same variables, same order"
    for name, meaning in variables().items():
        assert meaning, f"{name} has no description"
        assert meaning in meanings[name]
    assert Settings(**given_values) == Settings()
    for name, field in Settings.model_fields.items():
        has_default = field.default not in (None, "")
        assert (name in given_values) == has_default, f"{name}: default missing or invented"


def test_example_is_a_valid_env_file_once_uncommented() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    module.ENV_FILE.write_text(re.sub(r"^#(\w+=)", r"\1", text, flags=re.MULTILINE))
    assert load_settings() == Settings()
