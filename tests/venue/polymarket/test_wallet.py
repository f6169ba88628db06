import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from models.errors import ConfigError
from models.settings import LIVE_CONFIRMATION, Settings, TradingMode
from venue.wallet import signing_key, write_private

KEY = "0x" + "1a" * 32


def live(tmp_path: Path, key: str) -> Settings:
    settings = Settings(_env_file=None, floor_home=tmp_path)  # type: ignore[call-arg]
    return settings.model_copy(
        update={
            "trading_mode": TradingMode.LIVE,
            "live_confirmation": LIVE_CONFIRMATION,
            "polymarket_private_key": SecretStr(key),
        }
    )


def test_simulated_key_is_made_once_and_kept_private(settings: Settings) -> None:
    first = signing_key(settings)
    assert signing_key(settings) == first
    kept = list((settings.floor_home / "credentials").iterdir())
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept] == [0o600]
    assert stat.S_IMODE(kept[0].parent.stat().st_mode) == 0o700
    assert first.get_secret_value() not in repr(first)


def test_simulated_trading_never_uses_the_live_key(settings: Settings) -> None:
    settings = settings.model_copy(update={"polymarket_private_key": SecretStr(KEY)})
    assert signing_key(settings).get_secret_value() != KEY


def test_a_simulated_wallet_may_be_given_and_is_then_not_kept(settings: Settings) -> None:
    given = settings.model_copy(update={"sim_wallet_key": SecretStr(KEY)})
    assert signing_key(given).get_secret_value() == KEY
    assert not (settings.floor_home / "credentials").exists()
    both = {"trading_mode": TradingMode.LIVE, "polymarket_private_key": SecretStr("0x" + "2b" * 32)}
    assert signing_key(given.model_copy(update=both)).get_secret_value() != KEY


def test_live_trading_uses_the_given_key_in_either_spelling(tmp_path: Path) -> None:
    assert signing_key(live(tmp_path, KEY)).get_secret_value() == KEY
    assert signing_key(live(tmp_path, KEY[2:].upper())).get_secret_value() == KEY
    assert not (tmp_path / "credentials").exists()


@pytest.mark.parametrize("key", ["0x12", "not a key", "0x" + "00" * 32, "0x" + "ff" * 32])
def test_an_impossible_key_is_refused_without_showing_it(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        signing_key(live(tmp_path, key))
    assert key not in str(caught.value)
    assert "POLYMARKET_PRIVATE_KEY" in str(caught.value)


def test_a_spoilt_kept_key_is_named_not_shown(settings: Settings) -> None:
    signing_key(settings)
    path = next((settings.floor_home / "credentials").iterdir())
    path.write_text("0xg4rbage")
    with pytest.raises(ConfigError, match=r"simulated-wallet\.key") as caught:
        signing_key(settings)
    assert "g4rbage" not in str(caught.value)


def test_processes_that_start_together_agree_on_one_key(settings: Settings) -> None:
    code = (
        "import sys; from models.settings import Settings; from venue.wallet import signing_key;"
        "s = Settings(_env_file=None, floor_home=sys.argv[1]);"
        "print(signing_key(s).get_secret_value())"
    )
    argv = [sys.executable, "-c", code, str(settings.floor_home)]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(3)]
    keys = {process.communicate(timeout=60)[0] for process in running}
    assert len(keys) == 1
    assert all(process.returncode == 0 for process in running)


def test_write_private_replaces_whole_files_and_leaves_no_drafts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "one")
    write_private(path, "two")
    write_private(path, "three", overwrite=False)
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]
