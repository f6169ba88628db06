"""What the tests of tapes share."""

from pathlib import Path

import pytest

from models.settings import Settings


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the recorded data; a test that reads it fails where it is missing."""
    folder = Settings(_env_file=None).floor_data_dir  # type: ignore[call-arg]
    if not folder.is_dir():
        pytest.fail(f"recorded data is missing: {folder}; set FLOOR_DATA_DIR")
    return folder
