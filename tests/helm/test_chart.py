"""The Helm chart, rendered by helm itself: valid for three versions of Kubernetes, hardened, and of the same options as the programs."""
import copy
import json
import os
import subprocess
import sys

import pytest
import yaml

from check_chart import SERVICES, pods_of, problems

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHART = os.path.join(TOP, "deploy", "helm", "footnote")
HELM = os.environ.get("HELM", "helm")
BIN = os.environ.get("FOOTNOTE_BIN", os.path.join(TOP, "build", "release"))
VERSIONS = os.environ["KUBERNETES_VERSIONS"].split()
CLUSTER = ["--kube-version", VERSIONS[-1]]  # a helm that was built by Go alone believes in an old one
FOREIGN = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}  # of operators: not in Kubernetes's own schemas

SCALED = ["--set", "embedder.autoscaling.enabled=true,retriever.autoscaling.enabled=true,store.autoscaling.enabled=true"]
VALUES = {
    "as it comes": [],
    "everything on": SCALED + [
        "--set", "monitoring.serviceMonitor.enabled=true,monitoring.prometheusRule.enabled=true,monitoring.prometheusRule.labels.release=prom",
        "--set", "gateway.ingress.enabled=true,gateway.ingress.className=nginx,gateway.ingress.hosts[0]=docs.example.org",
        "--set", "gateway.ingress.tls[0].secretName=docs-tls,gateway.ingress.tls[0].hosts[0]=docs.example.org",
        "--set-string", "prompt=Answer from the passages.", "--set", "imagePullSecrets[0].name=registry",
        "--set", "options.LOG_LEVEL=debug,gateway.options.RATE_LIMIT_REQUESTS=120,gateway.options.MEMORY_LIMIT=1073741824,retriever.options.INDEX_MAX_BYTES=8589934592",
        "--set", "networkPolicy.searchEngines.ports[0]=9200,networkPolicy.searchEngines.to[0].podSelector.matchLabels.app=opensearch,networkPolicy.redis.to[0].podSelector.matchLabels.app=redis",
        "--set", "gateway.podAnnotations.team=docs,gateway.nodeSelector.disk=ssd"],
    "keda": SCALED + ["--set", "autoscaling.by=keda"],
    "one database role": ["--set", "database.url.name=pg-app,database.url.key=uri,database.ownerUrl.key="],
    "no policies": ["--set", "networkPolicy.enabled=false"],
}


def helm(*words, ok=True):
    ran = subprocess.run([HELM, *words], capture_output=True, text=True, check=False)
    assert (ran.returncode == 0) == ok, ran.stdout[-2000:] + ran.stderr
    return ran.stdout if ok else ran.stderr


def render(*values):
    return [o for o in yaml.safe_load_all(helm("template", "docs", CHART, *CLUSTER, "--namespace", "answers", *values)) if o]


@pytest.fixture(scope="module", params=VALUES)
def objects(request):
    return render(*VALUES[request.param])


@pytest.fixture(scope="module")
def plain():
    return render()


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """What `make secrets` makes: name → path."""
    folder = str(tmp_path_factory.mktemp("secrets"))
    subprocess.run(["bash", os.path.join(TOP, "deploy", "secrets.sh")], env={**os.environ, "SECRETS_DIR": folder}, check=True, capture_output=True)
    return {f: os.path.join(at, f) for at, _, files in os.walk(folder) for f in files}


def of_kind(objects, kind):
    return [o for o in objects if o["kind"] == kind]


def deployment(objects, component):
    return next(o for o in of_kind(objects, "Deployment") if o["metadata"]["labels"]["app.kubernetes.io/component"] == component)


def env_of(objects, component):
    return {e["name"]: e.get("value") for e in deployment(objects, component)["spec"]["template"]["spec"]["containers"][0]["env"]}


def test_helm_finds_nothing_to_say():
    assert "0 chart(s) failed" in helm("lint", "--strict", *CLUSTER, CHART)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(objects, version, tmp_path):
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all([o for o in objects if o["kind"] not in FOREIGN]))
    ran = subprocess.run([os.path.join(os.path.dirname(sys.executable), "kubernetes-validate"), "--strict", "-k", version, str(path)],
                         capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_rule_of_ours_is_kept(objects, request):
    assert problems(objects, policies="no policies" not in request.node.name) == []


def test_names_are_unique(objects):
    names = [(o["kind"], o["metadata"]["name"]) for o in objects]
    assert len(names) == len(set(names))


def forbidden():
    """Changes that nobody may make, each with what the check says of it."""
    def container(objects, component="gateway"):
        return deployment(objects, component)["spec"]["template"]["spec"]["containers"][0]
    pod = lambda objects: deployment(objects, "store")["spec"]["template"]["spec"]
    return {
        "no probe": (lambda o: container(o).pop("readinessProbe"), "has no readinessProbe"),
        "no start probe": (lambda o: container(o, "janitor").pop("startupProbe"), "has no startupProbe"),
        "root user": (lambda o: pod(o)["securityContext"].update(runAsNonRoot=False), "may run as root"),
        "root container": (lambda o: container(o)["securityContext"].update(runAsUser=0), "runs as root"),
        "missing limit": (lambda o: container(o, "retriever")["resources"].pop("limits"), "has no memory limit"),
        "no requests": (lambda o: container(o, "retriever")["resources"].pop("requests"), "requests no processor"),
        "writable root": (lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem"), "may write its root"),
        "capabilities": (lambda o: container(o)["securityContext"]["capabilities"].update(drop=[]), "keeps capabilities"),
        "privileged": (lambda o: container(o)["securityContext"].update(privileged=True), "may get more rights"),
        "token": (lambda o: pod(o).pop("automountServiceAccountToken"), "is given a token"),
        "init container": (lambda o: pod(o).update(initContainers=[{"name": "wait"}]), "waits for an init container"),
        "host path": (lambda o: pod(o)["volumes"].append({"name": "h", "hostPath": {"path": "/"}}), "reaches into its host"),
        "secret as a variable": (lambda o: container(o)["env"].append({"name": "REDIS_URL", "value": "redis://a:b@c/0"}), "has a secret in the variable"),
        "killed while it drains": (lambda o: deployment(o, "embedder")["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=30), "is killed before"),
        "no budget": (lambda o: o.remove(of_kind(o, "PodDisruptionBudget")[0]), "has no PodDisruptionBudget"),
        "no policy": (lambda o: o.remove(of_kind(o, "NetworkPolicy")[0]), "has no NetworkPolicy"),
        "open policy": (lambda o: of_kind(o, "NetworkPolicy")[0]["spec"].update(policyTypes=["Ingress"]), "leaves a direction open"),
        "the retriever leaves": (lambda o: next(p for p in of_kind(o, "NetworkPolicy") if p["metadata"]["name"].endswith("retriever"))["spec"]["egress"].append(
            {"ports": [{"port": 443}]}), "lets out who has nothing to do there"),
        "hub behind one address": (lambda o: next(s for s in of_kind(o, "Service") if s["metadata"]["name"].endswith("-hub"))["spec"].pop("clusterIP"),
                                   "workers do not see every gateway"),
        "a service is missing": (lambda o: o.remove(deployment(o, "janitor")), "there is no Deployment of the janitor"),
    }


@pytest.mark.parametrize("change", forbidden())
def test_a_forbidden_change_is_caught(plain, change):
    objects = copy.deepcopy(plain)
    act, said = forbidden()[change]
    act(objects)
    assert any(said in p for p in problems(objects))


@pytest.mark.parametrize("component", SERVICES)
def test_variables_are_options_of_that_program(objects, component):
    printed = subprocess.run([f"{BIN}/footnote-{component}", "--print-options=env"], capture_output=True, text=True, check=True).stdout
    known = {line[1:].split("=")[0] for line in printed.splitlines() if line.startswith("#") and "=" in line}
    given = {n.removesuffix("_FILE") if n.removesuffix("_FILE") in known else n for n in env_of(objects, component)}
    assert given - known - {"LOG_LEVEL", "LOG_FORMAT"} == set()


@pytest.mark.parametrize("component", SERVICES)
def test_a_program_takes_its_variables(objects, component, secrets, tmp_path):
    """Each program checks its configuration as the chart gives it, with the files of `make secrets` in their places."""
    spec = deployment(objects, component)["spec"]["template"]["spec"]
    volumes = {v["name"]: v for v in spec["volumes"]}
    env = env_of(objects, component)
    for mount in spec["containers"][0]["volumeMounts"]:
        for item in volumes[mount["name"]].get("secret", {}).get("items", []):
            key = "database_url" if item["key"] == "uri" else item["key"]
            place = f"{mount['mountPath']}/{item['path']}"
            env = {n: secrets[key] if v == place else v for n, v in env.items()}
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Answer from the passages.")
    env = {n: str(prompt) if v == "/etc/footnote/prompt/prompt.txt" else v for n, v in env.items()}
    ran = subprocess.run([f"{BIN}/footnote-{component}", "--check-config"], env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_ports_fit(objects):
    """What Services, probes and policies call by name is what the container opens."""
    for component in SERVICES:
        env = env_of(objects, component)
        ports = {p["name"]: p["containerPort"] for p in deployment(objects, component)["spec"]["template"]["spec"]["containers"][0]["ports"]}
        assert ports["metrics"] == int(env["METRICS_PORT"])
        if component == "gateway":
            assert ports["http"] == int(env["PORT"]) and env["HUB_BIND"].endswith(f":{ports['bus']}")
        else:
            assert env["HUB_ENDPOINTS"] == "tcp://docs-footnote-hub.answers.svc:5555"


def test_secrets_are_those_of_make_secrets(plain, secrets):
    used = {item["key"] for _, pod in pods_of(plain) for v in pod["spec"]["volumes"] if "secret" in v for item in v["secret"]["items"]}
    assert used <= set(secrets)


def test_each_service_sees_its_own_secrets_only(plain):
    for component in SERVICES:
        keys = {i["key"] for v in deployment(plain, component)["spec"]["template"]["spec"]["volumes"] if "secret" in v for i in v["secret"]["items"]}
        others = {f"bus_{s}_key" for s in SERVICES if s != component} | {"bus_hub_key", "admin_key", "database_owner_url"}
        assert component == "gateway" or not keys & others


def test_an_option_nobody_knows_is_refused_by_name():
    assert "RATE_LIMT_REQUESTS" in helm("template", "docs", CHART, *CLUSTER, "--set", "gateway.options.RATE_LIMT_REQUESTS=1", ok=False)
    assert "METRICS_PORT" in helm("template", "docs", CHART, *CLUSTER, "--set", "store.options.METRICS_PORT=1", ok=False)
    assert "HTTP_THREADS" in helm("template", "docs", CHART, *CLUSTER, "--set", "gateway.options.HTTP_THREADS=1", ok=False)


def test_large_numbers_stay_whole():
    assert env_of(render(*VALUES["everything on"]), "gateway")["MEMORY_LIMIT"] == "1073741824"


def test_a_service_that_scales_has_no_fixed_number():
    objects = render(*SCALED)
    assert "replicas" not in deployment(objects, "embedder")["spec"] and deployment(objects, "gateway")["spec"]["replicas"] == 2
    assert {o["spec"]["scaleTargetRef"]["name"] for o in of_kind(objects, "HorizontalPodAutoscaler")} == {f"docs-footnote-{s}" for s in ("embedder", "retriever", "store")}
    metric = of_kind(objects, "HorizontalPodAutoscaler")[0]["spec"]["metrics"][0]["external"]["metric"]
    with open(os.path.join(TOP, "docs", "metrics.md"), encoding="utf-8") as f:
        assert f"`{metric['name']}` | gauge" in f.read()


def test_alerts_are_those_of_the_compose_stack():
    rule = of_kind(render(*VALUES["everything on"]), "PrometheusRule")[0]
    with open(os.path.join(TOP, "deploy", "prometheus", "alerts.yml"), encoding="utf-8") as f:
        assert json.dumps(rule["spec"], sort_keys=True) == json.dumps(yaml.safe_load(f), sort_keys=True)


def test_a_new_image_has_a_new_migration_and_the_same_image_has_the_same():
    job = lambda *v: of_kind(render(*v), "Job")[0]["metadata"]["name"]
    assert job() == job("--set", "gateway.replicas=5")
    assert job() != job("--set", "image.tag=next")


def test_a_short_release_name_is_kept():
    objects = [o for o in yaml.safe_load_all(helm("template", "footnote", CHART, *CLUSTER)) if o]
    assert {o["metadata"]["name"] for o in of_kind(objects, "Deployment")} == {f"footnote-{s}" for s in SERVICES}
