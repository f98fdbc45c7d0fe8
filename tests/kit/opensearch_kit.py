"""Nodes of OpenSearch for tests, on free ports, in a folder of their own, stopped by their pids.

    with Cluster(nodes=2) as c:
        c.url                        http://127.0.0.1:PORT,http://127.0.0.1:PORT   (for OPENSEARCH_URL)
        c.get("/_cluster/health")    parsed JSON; also post, put, delete
        c.nodes[0].kill(), .pause(), .resume(), .start()
"""
import atexit
import os
import shutil
import signal
import subprocess
import tempfile

import requests

from ports import free_port
from suite import TOP, wait_for

HEAP = os.environ.get("OPENSEARCH_HEAP", "384m")


def fetched():
    """The folder of the jars. Fetches them the first time."""
    return subprocess.run([os.path.join(TOP, "tests/opensearch/fetch.sh")], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


class Node:
    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.port, self.transport = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.proc = None

    def start(self):
        c = self.cluster
        seeds = ",".join(f"127.0.0.1:{n.transport}" for n in c.nodes)
        settings = {"path.home": os.path.join(c.root, self.name), "node.name": self.name, "cluster.name": "footnote-test",
                    "network.host": "127.0.0.1", "http.port": self.port, "transport.port": self.transport,
                    "cluster.routing.allocation.disk.threshold_enabled": "false", "knn.algo_param.index_thread_qty": 1}
        if len(c.nodes) > 1:
            # the first one leads: with two that may, the loss of either can stop both
            settings.update({"discovery.seed_hosts": seeds, "cluster.initial_cluster_manager_nodes": c.nodes[0].name})
            if self is not c.nodes[0]:
                settings["node.roles"] = "data,ingest"
        else:
            settings["discovery.type"] = "single-node"
        with open(os.path.join(c.root, self.name + ".log"), "ab") as log:
            self.proc = subprocess.Popen(
                ["java", f"-Xms{HEAP}", f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1" if c.quick else "-XX:+UseSerialGC",
                 "-cp", os.path.join(c.jars, "classes") + ":" + os.path.join(c.jars, "lib", "*"), "Main"] +
                [f"{k}={v}" for k, v in settings.items()], stdout=log, stderr=log, cwd=c.root)

    def answers(self):
        try:
            return requests.get(self.url, timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def signal(self, sig):
        self.proc.send_signal(sig)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()


class Cluster:
    def __init__(self, nodes=1, quick=True):
        self.jars, self.quick = fetched(), quick
        self.root = tempfile.mkdtemp(prefix="fnos-")
        self.nodes = []
        self.nodes += [Node(self, f"n{i}") for i in range(nodes)]
        self.url = ",".join(n.url for n in self.nodes)
        atexit.register(self.close)

    def __enter__(self):
        for n in self.nodes:
            n.start()
        for n in self.nodes:
            wait_for(f"{n.name} of OpenSearch", n.answers, 120, 0.2)
        wait_for("all nodes", lambda: self.get("/_cluster/health")["number_of_nodes"] == len(self.nodes), 60, 0.2)
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for n in self.nodes:
            n.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def ask(self, method, path, body=None):
        for n in self.nodes:
            if n.proc.poll() is None:
                r = requests.request(method, n.url + path, json=body, timeout=30)
                return r.json()
        raise AssertionError("no node runs")

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, body=None):
        return self.ask("POST", path, body)

    def put(self, path, body=None):
        return self.ask("PUT", path, body)

    def delete(self, path):
        return self.ask("DELETE", path)
