"""The manifests for Kubernetes: what no cluster is needed to check of them.

Keys are compared with those in use, references between the manifests must resolve, every program
and setting must be one of ours, and no secret may stand anywhere but by reference.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from console.pools import template
from console.processes import table
from models.settings import ROOT, Settings, is_secret, variables

FOLDER = ROOT / "deployments" / "kubernetes" / "floor"
Manifest = dict[str, Any]


def manifests() -> Iterator[Manifest]:
    for name in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]:
        yield from yaml.safe_load_all((FOLDER / name).read_text())


ALL = list(manifests())
KINDS = {
    "Namespace": "v1", "ConfigMap": "v1", "ServiceAccount": "v1", "Service": "v1",
    "Deployment": "apps/v1", "StatefulSet": "apps/v1", "Job": "batch/v1",
    "PodDisruptionBudget": "policy/v1", "NetworkPolicy": "networking.k8s.io/v1",
}  # fmt: skip
SPEC_KEYS = {
    "Deployment": {"replicas", "selector", "strategy", "template"},
    "StatefulSet": {
        "serviceName", "replicas", "podManagementPolicy", "selector", "template",
        "volumeClaimTemplates",
    },
    "Job": {"backoffLimit", "template"},
    "Service": {"clusterIP", "selector", "ports"},
    "PodDisruptionBudget": {"minAvailable", "maxUnavailable", "selector"},
    "NetworkPolicy": {"podSelector", "policyTypes", "ingress"},
}  # fmt: skip
POD_KEYS = {
    "automountServiceAccountToken", "terminationGracePeriodSeconds", "securityContext", "affinity",
    "containers", "initContainers", "volumes", "restartPolicy",
}  # fmt: skip
CONTAINER_KEYS = {
    "name", "image", "command", "args", "env", "envFrom", "ports", "startupProbe",
    "readinessProbe", "livenessProbe", "resources", "securityContext", "volumeMounts",
}  # fmt: skip
PROBE_KEYS = {
    "exec", "httpGet", "initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold",
}  # fmt: skip


def of(kind: str) -> list[Manifest]:
    return [each for each in ALL if each["kind"] == kind]


WORKLOADS = [*of("Deployment"), *of("StatefulSet"), *of("Job")]


def named(entry: Manifest) -> str:
    return f"{entry['kind']}-{entry['metadata']['name']}"


def pod(workload: Manifest) -> Manifest:
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Manifest) -> list[Manifest]:
    return [*pod(workload)["containers"], *pod(workload).get("initContainers", ())]


def ours(container: Manifest) -> bool:
    return str(container["image"]) == "trading-floor"


def test_every_file_is_applied() -> None:
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert set(kustomization["resources"]) == files
    assert [image["name"] for image in kustomization["images"]] == ["trading-floor"]


@pytest.mark.parametrize("entry", ALL, ids=named)
def test_kind_version_and_keys_are_those_kubernetes_knows(entry: Manifest) -> None:
    assert entry["apiVersion"] == KINDS[entry["kind"]]
    known = {"apiVersion", "kind", "metadata", "spec", "data", "automountServiceAccountToken"}
    assert not entry.keys() - known
    if entry["kind"] in SPEC_KEYS:
        assert not entry["spec"].keys() - SPEC_KEYS[entry["kind"]]


def test_names_are_unique() -> None:
    names = [named(entry) for entry in ALL]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("entry", WORKLOADS, ids=named)
def test_pods_are_bounded_unprivileged_and_whole(entry: Manifest) -> None:
    spec = pod(entry)
    assert not spec.keys() - POD_KEYS
    assert spec["automountServiceAccountToken"] is False
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    volumes |= {
        claim["metadata"]["name"] for claim in entry["spec"].get("volumeClaimTemplates", ())
    }
    for container in containers(entry):
        assert not container.keys() - CONTAINER_KEYS
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() == {"memory"}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        if not ours(container):
            assert ":" in container["image"]
            continue
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("entry", WORKLOADS, ids=named)
def test_probes_ask_what_is_there(entry: Manifest) -> None:
    for container in containers(entry):
        ports = {port["name"] for port in container.get("ports", ())}
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container.get(name)
            if probe is None:
                continue
            assert not probe.keys() - PROBE_KEYS
            assert ("exec" in probe) != ("httpGet" in probe)
            if "httpGet" in probe:
                assert probe["httpGet"]["port"] in ports
    if entry["kind"] != "Job":
        first = pod(entry)["containers"][0]
        assert {"readinessProbe", "livenessProbe"} & first.keys()


@pytest.mark.parametrize("entry", [each for each in WORKLOADS if each["kind"] != "Job"], ids=named)
def test_selectors_choose_the_pods_they_mean(entry: Manifest) -> None:
    labels = entry["spec"]["template"]["metadata"]["labels"]
    assert entry["spec"]["selector"]["matchLabels"] == labels
    if entry["kind"] == "StatefulSet":
        assert entry["spec"]["serviceName"] in {s["metadata"]["name"] for s in of("Service")}


@pytest.mark.parametrize("entry", [*of("Service"), *of("PodDisruptionBudget")], ids=named)
def test_services_and_budgets_choose_pods_that_exist(entry: Manifest) -> None:
    chosen = entry["spec"]["selector"].get("matchLabels", entry["spec"]["selector"])
    found = [w for w in WORKLOADS if w["spec"]["template"]["metadata"]["labels"] == chosen]
    assert len(found) == 1
    offered = {
        port["containerPort"] for c in pod(found[0])["containers"] for port in c.get("ports", ())
    }
    assert {port["port"] for port in entry["spec"].get("ports", ())} <= offered
    if entry["kind"] == "PodDisruptionBudget":
        assert found[0]["spec"]["replicas"] >= 2


def test_secrets_come_by_reference_alone() -> None:
    assert not of("Secret")
    for entry in WORKLOADS:
        for container in containers(entry):
            for variable in container.get("env", ()):
                secret = is_secret(variable["name"]) or "PASSWORD" in variable["name"]
                if secret:
                    assert variable["valueFrom"].keys() == {"secretKeyRef"}
            if ours(container):
                assert {"secretRef": {"name": "floor"}} in container["envFrom"]
    (config,) = of("ConfigMap")
    assert not [name for name in config["data"] if is_secret(name)]


def test_settings_are_ours_and_point_at_services() -> None:
    (config,) = of("ConfigMap")
    assert not config["data"].keys() - variables().keys()
    values = {key.lower(): value for key, value in config["data"].items()}
    settings = Settings(_env_file=None, prefect_auth="floor:word", **values)
    services = {
        f"{each['metadata']['name']}:{port['port']}"
        for each in of("Service")
        for port in each["spec"].get("ports", ())
    }
    for url in (settings.prefect_url, settings.sim_url):
        assert url is not None
        assert url.removeprefix("http://").removesuffix("/api") in services


def test_every_program_of_the_floor_runs_and_no_other() -> None:
    served = [
        container["args"] for entry in WORKLOADS for container in containers(entry)
        if ours(container)
    ]  # fmt: skip
    assert all(words[0] == "floor" for words in served)
    programs = {words[2] for words in served if words[1] == "serve"}
    assert programs | {"postgres", "redis", "traders"} == set(table())
    assert ["floor", "worker"] in served


def test_traders_keep_their_folder_their_name_and_have_time_to_hand_over() -> None:
    (traders,) = [each for each in WORKLOADS if each["metadata"]["name"] == "traders"]
    assert traders["kind"] == "StatefulSet" and traders["spec"]["replicas"] >= 2
    assert traders["spec"]["volumeClaimTemplates"]
    (container,) = pod(traders)["containers"]
    assert {"name": "HOST_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}} in (
        container["env"]
    )
    assert pod(traders)["terminationGracePeriodSeconds"] > 2 * table()["traders"].stop.seconds


def test_sessions_in_pods_use_what_the_manifests_make() -> None:
    found = template("kubernetes")
    job = found["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    (container,) = job["containers"]
    assert container["envFrom"] == [
        {"configMapRef": {"name": "floor"}},
        {"secretRef": {"name": "floor"}},
    ]
    accounts = {each["metadata"]["name"] for each in of("ServiceAccount")}
    assert found["variables"]["properties"]["service_account_name"]["default"] in accounts
    assert job["terminationGracePeriodSeconds"] > table()["traders"].stop.seconds


SESSIONS = FOLDER.parent / "sessions"


def test_the_worker_that_starts_pods_may_do_that_and_no_more() -> None:
    parts = {
        named(each): each for each in yaml.safe_load_all((SESSIONS / "worker.yaml").read_text())
    }
    role, binding = parts["Role-floor-worker"], parts["RoleBinding-floor-worker"]
    may_change = [rule for rule in role["rules"] if set(rule["verbs"]) - {"get", "list", "watch"}]
    assert [rule["resources"] for rule in may_change] == [["jobs"]]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    account = pod(parts["Deployment-worker"])["serviceAccountName"]
    assert [subject["name"] for subject in binding["subjects"]] == [account]
    assert "ServiceAccount-floor-worker" in parts
    claim = template("kubernetes")["variables"]["properties"]["volume_claim"]["default"]
    assert f"PersistentVolumeClaim-{claim}" in parts


def test_sessions_in_pods_replace_the_hosts_that_trade_by_themselves() -> None:
    overlay = yaml.safe_load((SESSIONS / "kustomization.yaml").read_text())
    patches = [yaml.safe_load(each["patch"]) for each in overlay["patches"]]
    deleted = {named(each) for each in patches if each.get("$patch") == "delete"}
    assert deleted == {"StatefulSet-traders", "PodDisruptionBudget-traders"}
    assert deleted <= {named(each) for each in ALL}
    (config,) = [each for each in patches if each["kind"] == "ConfigMap"]
    assert config["data"] == {"TRADERS_POOL": "kubernetes"}
