"""prefect.yaml read strictly: every key Prefect would drop is named with its line."""

from pathlib import Path

import pytest

from models.errors import ConfigError
from tasks.prefect_file import PREFECT_FILE
from tasks.prefect_strict import check_prefect_file

TEXT = PREFECT_FILE.read_text(encoding="utf-8")


def test_the_shipped_file_has_no_key_that_is_dropped() -> None:
    check_prefect_file()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("concurrency_limit: *one", "concurrency_limits: *one", "did you mean 'concurrency_limit'"),
        ("    tags: [floor, supervise]", "    max_active_runs: 1", "max_active_runs: unknown key"),
        ("    tags: [floor, supervise]", "    catchup: false", "catchup: unknown key"),
        ("interval: 30,", "intervall: 30,", "schedules.0.intervall: unknown key"),
        ("    name: traders\n", "    nam: traders\n", "work_pool.nam: unknown key"),
        ("schedule_after: 1", "schedule_aftr: 1", "triggers.0.schedule_aftr: unknown key"),
        ("type: event", "type: events", "unknown 'events'; known: event"),
        ("limit: 1\n", "limt: 1\n", "concurrency_limit.limt: unknown key; did you mean 'limit'?"),
        ("name: trading-floor", "naem: trading-floor", "line 6: naem: unknown key"),
        ("    entrypoint: flows.collect.collect\n", "", "key 'entrypoint' is missing"),
    ],
)
def test_a_key_prefect_would_drop_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    assert old in TEXT
    path = tmp_path / "prefect.yaml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError) as refused:
        check_prefect_file(path)
    assert complaint in str(refused.value)
    assert "prefect.yaml, line " in str(refused.value)


def test_a_deployment_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    block = "  - name: collect\n    entrypoint: flows.collect.collect\n"
    path.write_text(TEXT.rstrip("\n") + "\n" + block)
    with pytest.raises(ConfigError, match="'collect' is there twice"):
        check_prefect_file(path)


def test_what_is_merged_in_is_told_with_the_line_it_is_written_on(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(
        "definitions:\n  one: &one\n    nmae: traders\n"
        "deployments:\n  - name: a\n    entrypoint: b.c\n    work_pool: {<<: *one}\n"
    )
    with pytest.raises(ConfigError, match=r"line 3: deployments\.0\.work_pool\.nmae: unknown key"):
        check_prefect_file(path)
