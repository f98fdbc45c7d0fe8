"""What Kubernetes itself does not ask of our objects, and we do: problems(objects) names every object that breaks a rule.

usage: check_chart.py < objects.yaml     prints a line for each problem, and exits with 1 when there is one"""
import sys

import yaml

SERVICES = ("gateway", "embedder", "retriever", "store", "janitor")


def name_of(thing):
    return f"{thing['kind']} {thing['metadata']['name']}"


def pods_of(objects):
    return [(name_of(o), o["spec"]["template"]) for o in objects if o["kind"] in ("Deployment", "Job")]


def pod_problems(pod, probed):
    spec = pod["spec"]
    security = spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
        yield "may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if spec.get("automountServiceAccountToken") is not False:
        yield "is given a token of the cluster"
    if spec.get("initContainers"):
        yield "waits for an init container"
    if spec.get("hostNetwork") or spec.get("hostPID") or any("hostPath" in v for v in spec.get("volumes", [])):
        yield "reaches into its host"
    for container in spec["containers"]:
        yield from container_problems(container, probed)


def container_problems(container, probed):
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "may get more rights"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "may write its root"
    if security.get("capabilities", {}).get("drop") != ["ALL"]:
        yield "keeps capabilities"
    if security.get("runAsUser") == 0:
        yield "runs as root"
    resources = container.get("resources", {})
    if "memory" not in resources.get("limits", {}):
        yield "has no memory limit"
    if not {"cpu", "memory"} <= set(resources.get("requests", {})):
        yield "requests no processor or memory"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe") if probed else ():
        if probe not in container:
            yield f"has no {probe}"
    names = [e["name"] for e in container.get("env", [])]
    yield from (f"is given {n} twice" for n in sorted(set(names)) if names.count(n) > 1)
    for env in container.get("env", []):
        if any(w in env["name"] for w in ("KEY", "SECRET", "_URL")) and not env["name"].endswith("_FILE") and "valueFrom" not in env \
                and "://" in env.get("value", "") and "@" in env.get("value", ""):
            yield f"has a secret in the variable {env['name']}"


def covered(objects, kind, labels):
    """Is there an object of that kind whose selector takes pods with these labels?"""
    for o in objects:
        if o["kind"] == kind:
            selector = o["spec"].get("podSelector") or o["spec"].get("selector") or {}
            if selector.get("matchLabels", {}).items() <= labels.items():
                return True
    return False


def drain_problems(pod):
    """Does Kubernetes wait until what runs has ended?"""
    spec = pod["spec"]
    env = {e["name"]: e.get("value") for e in spec["containers"][0].get("env", [])}
    stop = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["", "0"])
    gateway = pod["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway"
    longest = int(env.get("STREAM_DRAIN_TIMEOUT", 120) if gateway else env.get("DRAIN_TIMEOUT", 10))
    if spec.get("terminationGracePeriodSeconds", 30) < int(stop[1]) + longest:
        yield "is killed before it has drained"


def leaving(policy):
    """Ports that a policy lets out to any address."""
    return {p["port"] for rule in policy["spec"].get("egress", []) if not rule.get("to") for p in rule.get("ports", [{"port": "any"}])}


def problems(objects, policies=True):
    """A line for each rule that an object breaks."""
    found = []
    for name, pod in pods_of(objects):
        job = name.startswith("Job ")
        found += [f"{name} {why}" for why in pod_problems(pod, not job)]
        labels = pod["metadata"]["labels"]
        if not job:
            found += [f"{name} {why}" for why in drain_problems(pod)]
            if not covered(objects, "PodDisruptionBudget", labels):
                found.append(f"{name} has no PodDisruptionBudget")
        if policies and not covered(objects, "NetworkPolicy", labels):
            found.append(f"{name} has no NetworkPolicy")
    for o in objects:
        if o["kind"] == "NetworkPolicy":
            component = o["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
            if set(o["spec"]["policyTypes"]) != {"Ingress", "Egress"}:
                found.append(f"{name_of(o)} leaves a direction open")
            if component in ("gateway", "retriever", "janitor") and leaving(o) - {6379}:
                found.append(f"{name_of(o)} lets out who has nothing to do there: {sorted(map(str, leaving(o)))}")
    hub = [o for o in objects if o["kind"] == "Service" and o["metadata"]["name"].endswith("-hub")]
    if not hub or hub[0]["spec"].get("clusterIP") != "None" or not hub[0]["spec"].get("publishNotReadyAddresses"):
        found.append("workers do not see every gateway: the hub's Service must be headless and name gateways that are not ready yet")
    have = {o["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] for o in objects if o["kind"] == "Deployment"}
    found += [f"there is no Deployment of the {s}" for s in SERVICES if s not in have]
    return found


if __name__ == "__main__":
    all_found = problems([o for o in yaml.safe_load_all(sys.stdin) if o])
    print("\n".join(all_found))
    sys.exit(1 if all_found else 0)
