"""The files for Docker: what no daemon is needed to check of them.

An image is not built here. What is checked: keys, references between the parts, that every program
and setting they name is one of ours, and that no secret stands in any of them.
"""

import json
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
import yaml
from typer.main import get_command

from console.cli import app
from console.pools import pools, template
from console.processes import table
from models.settings import ROOT, Settings, is_secret, variables

FOLDER = ROOT / "deployments" / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (FOLDER / "env.example").read_text()
DOCKERFILE = (FOLDER / "Dockerfile").read_text()

SERVICE_KEYS = {
    "image", "build", "command", "env_file", "environment", "networks", "restart", "cap_drop",
    "security_opt", "logging", "depends_on", "healthcheck", "stop_grace_period", "volumes",
    "ports", "hostname", "shm_size", "profiles",
}  # fmt: skip
"""Of the Compose specification, those in use; a misspelt key would be among the others."""
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
DURATION = re.compile(r"\d+(ms|s|m|h)")
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("trading-floor")}


def steps(dockerfile: str) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", dockerfile)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


STEPS = steps(DOCKERFILE)


def last(instruction: str) -> str:
    return [value for name, value in STEPS if name == instruction][-1]


def test_image_runs_as_nobody_special_below_an_init() -> None:
    assert last("USER") == "floor"
    assert json.loads(last("ENTRYPOINT")) == ["tini", "--"]
    assert json.loads(last("CMD")) == ["floor", "worker"]
    assert last("STOPSIGNAL") == "SIGTERM"
    after = [name for name, _ in STEPS][[name for name, _ in STEPS].index("USER") :]
    assert not {"COPY", "ADD"} & set(after)


def test_image_is_made_from_the_lock_by_hash() -> None:
    installs = [value for name, value in STEPS if name == "RUN" and "pip install" in value]
    assert "--require-hashes" in installs[0] and "-r requirements.lock" in installs[0]
    assert "--no-deps" in installs[1] and installs[1].endswith("-e .")
    assert len(installs) == 3 and installs[2].startswith('if [ -n "$WORKER_PACKAGES" ]')
    bases = {value.split()[0] for name, value in STEPS if name == "FROM"}
    assert bases == {"python:3.11-slim"}


def test_what_the_image_copies_and_runs_is_there() -> None:
    for name, value in STEPS:
        words = shlex.split(value)
        if name == "COPY" and "--from=build" not in words:
            assert (ROOT / words[0]).exists()
        for script in re.findall(r"python (\S+\.py)", value):
            assert (ROOT / script).is_file()
        for module in re.findall(r"python -m ((?:engine|console)\S*)", value):
            assert (ROOT / module.replace(".", "/")).exists()


def test_no_secret_gets_into_the_image() -> None:
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().split()
    assert {".git", ".env", "**/.env", ".floor"} <= set(ignored)
    kept = " ".join(value for name, value in STEPS if name in ("ENV", "ARG"))
    assert not [name for name in variables() if is_secret(name) and name in kept]


def test_what_only_development_needs_is_found_and_nothing_else() -> None:
    """The script of the image, asked without removing anything."""
    script = (
        "import runtime_only as r; import json;"
        "print(json.dumps([sorted(r.needed(r.PROJECT)), sorted(r.installed())]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    needed, installed = json.loads(done.stdout)
    assert set(needed) <= set(installed)
    assert {"prefect", "prefect-redis", "polymarket-client", "psycopg-binary"} <= set(needed)
    assert {"pytest", "mypy", "ruff", "uv"} & set(installed) - set(needed)
    assert not {"pytest", "mypy", "ruff", "uv", "hypothesis"} & set(needed)


@pytest.mark.parametrize("name", SERVICES)
def test_every_key_of_a_service_is_known_and_points_somewhere(name: str) -> None:
    service = SERVICES[name]
    assert not service.keys() - SERVICE_KEYS
    assert ":" in service["image"] and not service["image"].endswith(":")
    assert set(service["networks"]) <= COMPOSE["networks"].keys()
    assert service["restart"] in ("unless-stopped", "on-failure")
    for other, how in service.get("depends_on", {}).items():
        assert other in SERVICES
        assert how["condition"] in CONDITIONS and how.keys() <= {"condition", "required"}
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        if "profiles" in SERVICES[other]:
            assert how["required"] is False
    for volume in service.get("volumes", ()):
        source, target, *_ = volume.split(":")
        assert target.startswith("/")
        inside = source.startswith("./") and (FOLDER / source).exists()
        assert inside or source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", [name for name in SERVICES if "healthcheck" in SERVICES[name]])
def test_health_is_asked_in_a_form_docker_knows(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert not check.keys() - HEALTH_KEYS
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert all(DURATION.fullmatch(check[key]) for key in check.keys() - {"test", "retries"})


def test_services_depend_on_each_other_without_a_circle() -> None:
    done: set[str] = set()
    while len(done) < len(SERVICES):
        ready = {
            name
            for name, service in SERVICES.items()
            if name not in done and service.get("depends_on", {}).keys() <= done
        }
        assert ready, f"a circle among {SERVICES.keys() - done}"
        done |= ready


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_run_our_commands_with_our_settings(name: str) -> None:
    service = SERVICES[name]
    floor, command, *arguments = service["command"]
    assert floor == "floor"
    assert command in get_command(app).commands  # type: ignore[attr-defined]
    assert all(argument in table() for argument in arguments)
    assert not service["environment"].keys() - variables().keys()
    assert service["cap_drop"] == ["ALL"]
    values = {
        key.lower(): re.sub(r"\$\{(\w+)[^}]*\}", r"user:\1", str(value))
        for key, value in service["environment"].items()
        if not is_secret(key)
    }
    Settings(_env_file=None, prefect_auth="floor:word", **values)


def test_every_program_of_the_floor_has_its_container() -> None:
    served = {SERVICES[name]["command"][-1] for name in OURS} - {"worker"}
    assert served | {"postgres", "redis", "traders"} == set(table())
    workers = [name for name in OURS if SERVICES[name]["command"] == ["floor", "worker"]]
    names = [SERVICES[name]["environment"]["HOST_NAME"] for name in workers]
    assert len(set(names)) == len(workers) >= 2
    homes = [volume for name in workers for volume in SERVICES[name]["volumes"]]
    assert len(set(homes)) == len(workers), "each host keeps its own spool"


def test_hosts_are_given_time_to_hand_over() -> None:
    patience = int(SERVICES["traders-a"]["stop_grace_period"].removesuffix("s"))
    assert patience > 2 * table()["traders"].stop.seconds


def test_addresses_name_services_and_only_this_machine_reaches_them() -> None:
    environment = SERVICES["ops"]["environment"]
    for key in ("PREFECT_URL", "SIM_URL", "DATABASE_URL", "REDIS_URL"):
        place = environment[key].rpartition("@")[2].rpartition("//")[2]
        assert place.partition(":")[0] in SERVICES
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published and all(port.startswith("127.0.0.1:") for port in published)


def test_prefects_servers_share_and_all_stand_behind_one_address() -> None:
    servers = {name for name in OURS if SERVICES[name]["command"][-1] == "prefect"}
    assert len(servers) == 2
    assert SERVICES["ops"]["environment"]["PREFECT_SHARED"] == "true"
    proxy = (FOLDER / "haproxy.cfg").read_text()
    assert set(re.findall(r"^    server (\S+) \S+:4200$", proxy, re.MULTILINE)) == servers
    assert "retry-on conn-failure\n" in proxy, "a request that may have been heard is not repeated"


def test_example_has_every_variable_compose_asks_for_and_no_value_of_a_secret() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", (FOLDER / "compose.yaml").read_text()))
    given = dict(re.findall(r"^#?(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert asked <= given.keys()
    others = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "COMPOSE_PROFILES"}
    assert not given.keys() - variables().keys() - others
    assert not [name for name in given if is_secret(name) and given[name]]
    profiles = {each for service in SERVICES.values() for each in service.get("profiles", ())}
    assert set(given["COMPOSE_PROFILES"].split(",")) == profiles


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_template_of_a_pool_is_whole_and_holds_no_secret(kind: str) -> None:
    found = template(kind)
    assert found.keys() == {"job_configuration", "variables"}
    text = json.dumps(found["job_configuration"])
    asked = set(re.findall(r"\{\{ (\w+) \}\}", text))
    properties = found["variables"]["properties"]
    assert asked == properties.keys(), "every variable is used, and every one used is there"
    assert properties["command"]["default"] == "python -m prefect.engine"
    environment = properties["env"]["default"]
    assert not [name for name in environment if is_secret(name)]
    made = next(pool for pool in pools(Settings(traders_pool=kind)) if pool.name == "traders")
    assert (made.type, made.base_job_template) == (kind, found)


def test_sessions_in_containers_find_the_servers_and_keep_their_folder() -> None:
    properties = template("docker")["variables"]["properties"]
    assert set(properties["networks"]["default"]) <= {
        network["name"] for network in COMPOSE["networks"].values()
    }
    assert properties["image"]["default"] == SERVICES["ops"]["image"]
    home = properties["env"]["default"]["FLOOR_HOME"]
    assert [v for v in properties["volumes"]["default"] if v.endswith(f":{home}")]


def test_an_evicted_session_is_never_started_again_as_the_same_run() -> None:
    """Prefect's Kubernetes worker does so otherwise, and can launch it twice."""
    found = template("kubernetes")
    assert found["job_configuration"]["job_manifest"]["spec"]["backoffLimit"] == 0
    environment = found["variables"]["properties"]["env"]["default"]
    assert environment["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "crash"
