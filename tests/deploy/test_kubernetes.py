"""The manifests match Kubernetes' published schemas, each other, the image and the service."""

import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from serving import gunicorn_conf
from serving.app import create_app
from serving.settings import Settings, variable

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy/kubernetes"
OLDEST, NEWEST = "1.30", "1.37"  # the first that has preStop.sleep by default, and the last whose schemas are there
EXTENSION = {"minReplicas", "maxReplicas"}  # fields of KServe's predictor that a pod lacks
KSERVE_OWN = {"PROTOCOL"}  # variables that KServe itself reads


def read(name):
    return yaml.safe_load((ROOT / "deploy" / name).read_text())


KUSTOMIZATION = read("kubernetes/kustomization.yaml")
DEPLOYMENT = read("kubernetes/deployment.yaml")
SERVICE = read("kubernetes/service.yaml")
MONITOR = read("kubernetes/monitoring/servicemonitor.yaml")
PREDICTOR = read("kserve.yaml")["spec"]["predictor"]
POD = DEPLOYMENT["spec"]["template"]["spec"]
KSERVE_POD = {field: value for field, value in PREDICTOR.items() if field not in EXTENSION}
PODS = pytest.mark.parametrize("pod", [POD, KSERVE_POD], ids=["deployment", "kserve"])


def dockerfile(instruction):
    """Return the argument of the last such instruction in the Dockerfile."""
    return re.findall(rf"^{instruction} (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1]


def container(pod):
    (only,) = pod["containers"]
    return only


def probes(pod):
    return [value["httpGet"] for field, value in container(pod).items() if field.endswith("Probe")]


def test_the_kustomization_names_every_manifest_beside_it():
    beside = {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}

    assert sorted(KUSTOMIZATION["resources"]) == sorted(beside)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", KUSTOMIZATION["resources"])
def test_a_manifest_matches_the_schema_of_its_kind(name, version):
    assert kubernetes_validate.validate(read(f"kubernetes/{name}"), version, strict=True) == version


def test_kserves_predictor_is_a_pod():
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "thimble"}, "spec": KSERVE_POD}

    assert kubernetes_validate.validate(pod, NEWEST, strict=True) == NEWEST


@pytest.mark.parametrize(
    "selector",
    [
        DEPLOYMENT["spec"]["selector"]["matchLabels"],
        SERVICE["spec"]["selector"],
        read("kubernetes/disruption.yaml")["spec"]["selector"]["matchLabels"],
        read("kubernetes/network.yaml")["spec"]["podSelector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in POD["topologySpreadConstraints"]),
    ],
)
def test_a_selector_finds_the_pods(selector):
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]

    assert selector
    assert selector.items() <= labels.items()


def test_the_autoscaler_scales_the_deployment_by_a_requested_resource():
    autoscaler = read("kubernetes/autoscaler.yaml")["spec"]
    target, measures = autoscaler["scaleTargetRef"], {metric["resource"]["name"] for metric in autoscaler["metrics"]}

    assert all(DEPLOYMENT[field] == target[field] for field in ("apiVersion", "kind"))
    assert DEPLOYMENT["metadata"]["name"] == target["name"]
    assert "replicas" not in DEPLOYMENT["spec"]
    assert measures <= container(POD)["resources"]["requests"].keys()


def test_the_monitor_finds_the_service_its_port_and_the_metrics(client):
    (endpoint,) = MONITOR["spec"]["endpoints"]

    assert MONITOR["spec"]["selector"]["matchLabels"].items() <= SERVICE["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in SERVICE["spec"]["ports"]}
    assert client.get(endpoint["path"]).status_code == 200


@PODS
def test_a_pod_listens_on_the_images_port_and_is_probed_there(pod, client):
    (port,) = container(pod)["ports"]

    assert port["containerPort"] == int(dockerfile("EXPOSE")) == Settings.http_port
    assert {probe["port"] for probe in probes(pod)} <= {port.get("name"), port["containerPort"]}
    assert {client.get(probe["path"]).status_code for probe in probes(pod)} == {200}


def test_service_and_network_policy_name_the_port_of_the_pods():
    (port,) = container(POD)["ports"]
    (rule,) = read("kubernetes/network.yaml")["spec"]["ingress"]

    assert [way["targetPort"] for way in SERVICE["spec"]["ports"]] == [port["name"]]
    assert rule == {"ports": [{"port": port["name"]}]}


def test_a_pod_without_a_model_is_alive_but_gets_no_requests(tmp_path):
    empty = create_app(Settings(models=str(tmp_path))).test_client()
    answers = {name: empty.get(container(POD)[f"{name}Probe"]["httpGet"]["path"]) for name in ("liveness", "readiness")}

    assert {name: answer.status_code for name, answer in answers.items()} == {"liveness": 200, "readiness": 503}


@PODS
def test_a_pod_runs_as_the_images_user_without_privileges(pod):
    context = pod.get("securityContext", {}) | container(pod)["securityContext"]

    assert context.pop("runAsUser") == int(dockerfile("USER"))
    assert context.pop("runAsGroup", 10001) == 10001
    assert context == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@PODS
def test_a_pod_can_write_only_where_the_service_writes(pod):
    (mount,) = container(pod)["volumeMounts"]
    (volume,) = pod["volumes"]

    assert (mount["name"], mount["mountPath"]) == (volume["name"], str(gunicorn_conf.shared_memory))
    assert volume["emptyDir"]["medium"] == "Memory"


@PODS
def test_a_pod_has_whole_cores_of_its_own(pod):
    resources = container(pod)["resources"]

    assert resources["requests"]["cpu"] == resources["limits"]["cpu"]
    assert int(resources["limits"]["cpu"]) >= 1


@PODS
def test_a_pod_sets_only_variables_that_are_read(pod):
    given = {entry["name"] for entry in container(pod).get("env", [])}

    assert given <= {variable(field) for field in Settings.__dataclass_fields__} | KSERVE_OWN


def test_a_pod_has_time_to_finish_accepted_requests():
    waits = container(POD)["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert POD["terminationGracePeriodSeconds"] > waits + gunicorn_conf.graceful_timeout


def test_own_models_are_mounted_over_the_images_models():
    patch = read("kubernetes/own-models/volume.yaml")
    (mount,) = container(patch["spec"]["template"]["spec"])["volumeMounts"]

    assert mount["mountPath"] == f"{dockerfile('WORKDIR')}/{Settings.models}"
    assert patch["metadata"]["name"] == DEPLOYMENT["metadata"]["name"]
    assert container(patch["spec"]["template"]["spec"])["name"] == container(POD)["name"]


def test_keys_are_a_file_of_a_secret_that_the_images_user_may_read():
    pod = read("kubernetes/keys/keys.yaml")["spec"]["template"]["spec"]
    (variables,), (mount,), (volume,) = container(pod)["env"], container(pod)["volumeMounts"], pod["volumes"]

    assert variables == {"name": variable("keys_file"), "value": f"{mount['mountPath']}/keys"}
    assert "--from-file=keys=" in (BASE / "keys/kustomization.yaml").read_text()
    assert mount["name"] == volume["name"]
    assert volume["secret"]["defaultMode"] == 0o440
    assert pod["securityContext"]["fsGroup"] == POD["securityContext"]["runAsGroup"]
    assert container(pod)["name"] == container(POD)["name"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize(("folder", "kinds"), [("kubernetes", 5), ("example", 6)])
def test_kubectl_builds_the_manifests(folder, kinds):
    built = subprocess.run(["kubectl", "kustomize", ROOT / "deploy" / folder], capture_output=True, timeout=60)
    manifests = {manifest["kind"]: manifest for manifest in yaml.safe_load_all(built.stdout)}

    assert built.stderr.decode() == ""
    assert len(manifests) == kinds
    assert kubernetes_validate.validate(manifests["Deployment"], NEWEST, strict=True) == NEWEST


def test_the_page_on_scaling_names_existing_files():
    named = set(re.findall(r"deploy/[\w./-]*\w", (ROOT / "docs/scaling.md").read_text()))

    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
