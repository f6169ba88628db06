"""The table of processes and what supervisord is told of it."""

import configparser
import sys
from pathlib import Path

import pytest

from console.processes import find_program, table, wanted_programs
from console.supervisor import LONGEST_SOCKET_PATH, render, socket_path
from models.errors import ConfigError
from models.settings import LIVE_CONFIRMATION, Settings


def names(settings: Settings, *only: str) -> list[str]:
    return [program.name for program in wanted_programs(settings, only)]


def test_simulated_floor_needs_everything() -> None:
    assert names(Settings()) == list(table())


def test_live_floor_has_no_simulator() -> None:
    live = Settings(
        trading_mode="live",
        live_confirmation=LIVE_CONFIRMATION,
        polymarket_private_key="0x" + "1b" * 32,
    )
    assert "simulator" not in names(live)
    assert "simulator" in names(Settings(trading_mode="paper"))


def test_servers_of_your_own_replace_the_embedded_ones() -> None:
    settings = Settings(database_url="postgresql://u:p@db/floor", redis_url="redis://cache")
    assert not {"postgres", "redis"} & set(names(settings))


def test_servers_elsewhere_replace_those_of_this_host() -> None:
    settings = Settings(prefect_url="http://prefect:4200/api", sim_url="http://simulator:9001")
    assert not {"prefect", "simulator"} & set(names(settings))


def test_a_host_that_only_trades_starts_its_worker_alone() -> None:
    alone = wanted_programs(Settings(), ["traders"], alone=True)
    assert [program.name for program in alone] == ["traders"]


def words(**values: object) -> str:
    return " ".join(find_program("traders").argv(Settings(**values))[1:])


def test_a_worker_bears_its_hosts_name_and_takes_its_queues() -> None:
    assert words() == "-m flows.traders --name traders"
    named = words(host_name="b", work_queues="default,collectors")
    assert named.endswith("--name traders-b --work-queue default --work-queue collectors")


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_sessions_in_containers_have_prefects_own_worker(kind: str) -> None:
    started = words(traders_pool=kind)
    assert started.startswith("-m prefect worker start --pool traders --name traders")
    assert started.endswith(f"--type {kind}")


def test_one_process_brings_what_it_needs() -> None:
    assert names(Settings(), "redis") == ["redis"]
    assert names(Settings(), "prefect") == ["postgres", "database", "prefect"]


def test_unknown_process_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'postgre'.*postgres, redis"):
        find_program("postgre")
    with pytest.raises(ConfigError, match="'nothing'"):
        names(Settings(), "nothing")


def test_no_command_carries_a_secret_or_a_bare_python() -> None:
    settings = Settings(prefect_port=4321)
    for program in table().values():
        argv = program.argv(settings)
        assert not argv or argv[0] == sys.executable
    assert "4321" in find_program("prefect").argv(settings)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: {about: x, needs: [b]}\nb: {about: y}", "needs 'b', not listed before it"),
        ("a: {about: x, comand: [y]}", "comand"),
        ("a: {command: [y]}", "about"),
        ("a: {about: x, ready: soon}", "ready"),
        ("a: [", "can't be read"),
        ("- a", "can't be read"),
        ("", "can't be read"),
    ],
)
def test_wrong_table_is_one_clear_error(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "processes.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        table(path)
    assert str(caught.value).startswith("processes.yaml: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_supervisord_gets_every_program_in_order(tmp_path: Path) -> None:
    settings = Settings(floor_home=tmp_path)
    programs = wanted_programs(settings)
    config = configparser.RawConfigParser()
    config.read_string(render(settings, programs, "life-1"))
    sections = [f"program:{program.name}" for program in programs]
    assert [name for name in config.sections() if name.startswith("program:")] == sections
    priorities = [config.getint(section, "priority") for section in sections]
    assert priorities == sorted(set(priorities)), "stopped in reverse of starting"
    assert config.get("program:postgres", "stopsignal") == "INT", "Postgres' fast shutdown"
    assert config.get("program:database", "exitcodes") == "0,78", "a step ends well"
    assert config.get("program:redis", "exitcodes") == "78", "a service never does"
    assert 'FLOOR_INSTANCE="life-1"' in config.get("program:redis", "environment")


def test_paths_may_hold_what_supervisord_would_expand(tmp_path: Path) -> None:
    settings = Settings(floor_home=tmp_path / "100% mine")
    text = render(settings, wanted_programs(settings), "life")
    assert "100%% mine" in text
    assert "100% mine" not in text


@pytest.mark.parametrize("bad", ['a"b', "a;b", "a\nb"])
def test_path_supervisord_cannot_express_is_refused(tmp_path: Path, bad: str) -> None:
    settings = Settings(floor_home=tmp_path / bad)
    with pytest.raises(ConfigError, match="use another"):
        render(settings, wanted_programs(settings), "life")


def test_socket_moves_where_the_path_would_be_too_long(tmp_path: Path) -> None:
    assert socket_path(Path("/srv/floor")) == Path("/srv/floor/supervisor.sock")
    deep = tmp_path / ("deep/" * 40)
    moved = socket_path(deep)
    assert len(str(moved)) <= LONGEST_SOCKET_PATH
    assert moved.parent.stat().st_mode & 0o077 == 0
    assert socket_path(deep) == moved, "the next command finds it again"
    assert socket_path(deep / "other") != moved


def test_folder_of_the_socket_must_be_private(tmp_path: Path) -> None:
    deep = tmp_path / ("open/" * 40)
    folder = socket_path(deep).parent
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match="not a private folder"):
        socket_path(deep)
    folder.rmdir()
