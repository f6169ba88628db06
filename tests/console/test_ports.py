"""Taken ports: who has them and what moves the floor away."""

import os
import socket
from collections.abc import Iterator

import pytest

from console.ports import accepts, check_ports, why_taken
from console.processes import wanted_programs
from models.errors import ConfigError
from models.settings import Settings


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_taken_port_names_number_holder_and_variable(taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    settings = Settings(prefect_port=port)
    prefect = [program for program in wanted_programs(settings) if program.name == "prefect"]
    with pytest.raises(ConfigError) as caught:
        check_ports(settings, prefect)
    line = str(caught.value)
    assert line.startswith(f"port {port} for the Prefect server and UI is taken by ")
    assert f"pid {os.getpid()} (" in line
    assert "set PREFECT_PORT to another" in line


def test_every_taken_port_gets_its_line(taken: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = Settings(redis_port=taken.getsockname()[1], sim_port=other.getsockname()[1])
        chosen = wanted_programs(settings, ["redis", "simulator"])
        with pytest.raises(ConfigError) as caught:
            check_ports(settings, chosen)
    lines = str(caught.value).splitlines()
    assert ["REDIS_PORT" in lines[0], "SIM_PORT" in lines[1]] == [True, True]


def test_free_port_is_fine(taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    assert why_taken(port)
    taken.close()
    assert why_taken(port) == ""


def test_port_that_is_the_end_of_a_connection_says_so(taken: socket.socket) -> None:
    with socket.create_connection(taken.getsockname()) as client:
        reason = why_taken(client.getsockname()[1])
    assert reason.startswith(f"is taken by pid {os.getpid()} (")
    assert "only for now" in reason


def test_default_ports_are_never_the_ends_of_connections() -> None:
    """Linux hands out 32768 and above; a restarted server could find its port taken by chance."""
    ports = [program.port_number(Settings()) for program in wanted_programs(Settings())]
    assert all(port is None or 1024 < port < 32768 for port in ports)


def test_port_of_a_connection_that_just_ended_is_free(taken: socket.socket) -> None:
    """The servers themselves bind over TIME_WAIT, so it must not count as taken."""
    port = taken.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    server, _ = taken.accept()
    server.close()  # closes first, so that the server's side waits
    client.close()
    taken.close()
    assert why_taken(port) == ""


def test_accepts_sees_a_listener(taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    assert accepts("127.0.0.1", port)
    taken.close()
    assert not accepts("127.0.0.1", port)
