"""Giving up root's rights, with and without a way to do it."""

import os
import subprocess
from pathlib import Path

import pytest

from models.errors import ConfigError
from store.unprivileged import without_root

ROOT_USER = os.geteuid() == 0


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that says who runs it, below a folder that only its owner may enter."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    path = folder / "who"
    path.write_text("#!/bin/sh\nid -u\n")
    path.chmod(0o755)
    return path


def test_a_program_below_a_private_folder_runs_without_root_s_rights(program: Path) -> None:
    words = without_root(program, program.parent)
    result = subprocess.run([*words, str(program)], capture_output=True, text=True, check=True)
    assert result.stdout.strip() != "0"


def test_no_capability_is_given_where_none_is_needed(tmp_path: Path) -> None:
    words = without_root(Path("/bin/cat"), Path("/"))
    assert not any("caps" in word for word in words)
    assert bool(words) == ROOT_USER


def test_without_setpriv_root_gets_one_clear_error(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if not ROOT_USER:
        assert without_root(program, tmp_path) == ()
        return
    with pytest.raises(ConfigError, match="setpriv"):
        without_root(program, tmp_path)


def test_a_program_nobody_can_run_is_one_clear_error(program: Path) -> None:
    program.chmod(0o000)
    if not ROOT_USER:
        assert without_root(program, program.parent) == ()
        return
    with pytest.raises(ConfigError, match=r"can't reach .*DATABASE_URL"):
        without_root(program, program.parent)
