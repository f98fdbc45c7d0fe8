"""A node of OpenSearch for the short tests: as much of it as retriever/opensearch/ asks for, in memory, on a free port.

    with FakeCluster() as c:
        c.url                       for OPENSEARCH_URL
        c.mode = "silent"           takes every call and answers none, until it is "well" again
        c.mode = "red"              answers each search that shards are missing
        c.mode = "full"             takes no change, for now
        c.down(), c.up()            nobody listens; what was stored stays
        c.searches                  how many calls of _msearch came
"""
import json
import math
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ports import free_port


def holds(q, d):
    """Does a query match the source d?"""
    (kind, v), = q.items()
    if kind == "bool":
        some = v.get("should", [])
        filters = v.get("filter", [])
        none = v.get("must_not", [])
        return (all(holds(x, d) for x in (filters if isinstance(filters, list) else [filters]))
                and not any(holds(x, d) for x in (none if isinstance(none, list) else [none]))
                and (not some or any(holds(x, d) for x in some)))
    if kind == "function_score":
        return holds(v["query"], d)
    if kind == "exists":
        return v["field"] in d
    if kind == "match_none":
        return False
    if kind == "knn":
        (field, asked), = v.items()
        return field in d and holds(asked["filter"], d)
    (field, want), = v.items()
    have = d.get(field)
    have = have.split() if field == "w" and have else have if isinstance(have, list) else [] if have is None else [have]
    if kind == "term":
        return (want["value"] if isinstance(want, dict) else want) in have
    if kind == "terms":
        return any(x in have for x in want)
    assert kind == "range", kind
    return any(all({"lt": x < y, "lte": x <= y, "gt": x > y, "gte": x >= y}[op] for op, y in want.items()) for x in have)


def score(q, d):
    (kind, v), = q.items()
    if kind == "bool":
        return sum(score(x, d) for x in v.get("should", []) if holds(x, d))
    if kind == "term":
        (_, want), = v.items()
        return want.get("boost", 1) if isinstance(want, dict) else 1
    if kind == "knn":
        (field, asked), = v.items()
        a, b = asked["vector"], d[field]
        dot = sum(x * y for x, y in zip(a, b))
        return (1 + dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))) / 2
    return 1


def shown(d, spec):
    inc = spec if isinstance(spec, list) else spec.get("includes") if spec else None
    return {k: v for k, v in d.items() if inc is None or k in inc}


def counted(aggs, docs):
    out = {}
    for name, a in aggs.items():
        (kind, v), = ((k, x) for k, x in a.items() if k != "aggs")
        if kind == "sum":
            out[name] = {"value": float(sum(d.get(v["field"], 0) for d in docs))}
        elif kind == "terms":
            keys = [d[v["field"]] for d in docs if v["field"] in d]
            out[name] = {"buckets": [{"key": k, "doc_count": keys.count(k)} for k in sorted(set(keys))]}
        elif kind == "filter":
            out[name] = {"doc_count": sum(holds(v, d) for d in docs)}
        else:
            assert kind == "filters", kind
            out[name] = {"buckets": {k: {"doc_count": sum(holds(f, d) for d in docs)} for k, f in v["filters"].items()}}
    return out


class FakeCluster:
    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.mode, self.searches = "well", 0
        self.indices, self.aliases = {}, {}
        self.lock = threading.Lock()
        self.go_on = threading.Event()  # silent calls end
        self.server = None

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, *_):
        self.down()

    def up(self):
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server, url = fake.server, urllib.parse.urlsplit(self.path)
                if fake.mode == "silent" and server is self.server:
                    fake.go_on.wait()
                if server is not self.server or fake.mode == "silent":  # it went down meanwhile
                    self.close_connection = True
                    return
                with fake.lock:
                    status, answer = fake.answer(self.command, url.path, dict(urllib.parse.parse_qsl(url.query)), body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_one

        class Server(ThreadingHTTPServer):
            allow_reuse_address, daemon_threads = True, True

            def handle_error(self, request, client_address):
                pass  # who asked was killed

        self.go_on.clear()
        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self):
        server, self.server = self.server, None
        self.go_on.set()
        if server:
            server.shutdown()
            server.server_close()

    def well(self):
        self.mode = "well"
        self.go_on.set()

    def silent(self):
        self.go_on.clear()
        self.mode = "silent"

    # ---- what it answers

    def answer(self, method, path, args, body):
        parts = path.strip("/").split("/")
        if parts == ["_msearch"]:
            self.searches += 1
            lines = [json.loads(line) for line in body.splitlines()]
            if self.mode == "red":
                return 200, {"responses": [{"status": 503, "error": {"reason": "all shards failed"}}] * (len(lines) // 2)}
            return 200, {"responses": [self.search(head["index"], q) for head, q in zip(lines[::2], lines[1::2])]}
        if parts[0] == "_alias":
            name = self.aliases.get(parts[1])
            return (200, {name: {"aliases": {parts[1]: {}}}}) if name else (404, {"error": "alias missing"})
        if len(parts) == 1:
            return self.whole(method, parts[0], body)
        index = self.indices.get(self.aliases.get(parts[0], parts[0]))
        if index is None:
            return 404, {"error": {"reason": "no such index"}}
        if parts[1] == "_doc":
            return self.one(method, index, parts[2], args, body)
        return self.many(index, parts[0], parts[1], body)

    def whole(self, method, name, body):
        if method == "PUT":
            if name in self.indices:
                return 400, {"error": {"reason": "it is there"}}
            asked = json.loads(body)
            self.indices[name] = {"docs": {}, "settings": asked["settings"], "properties": asked["mappings"]["properties"]}
            for alias in asked.get("aliases", {}):
                self.aliases[alias] = name
            return 200, {"acknowledged": True}
        index = self.indices.get(name)
        if index is None:
            return 404, {"error": {"reason": "no such index"}}
        settings = {k: str(index["settings"][k]) for k in ("number_of_shards", "number_of_replicas")}
        return 200, {name: {"settings": {"index": settings}, "mappings": {"properties": index["properties"]}}}

    def one(self, method, index, key, args, body):
        if method == "GET":
            found = index["docs"].get(key)
            return (200, {"_source": found[1]}) if found and found[1] is not None else (404, {"found": False})
        index["docs"][key] = (int(args["version"]), json.loads(body))
        return 200, {"result": "updated"}

    def many(self, index, name, what, body):
        if what == "_mapping":
            index["properties"].update(json.loads(body)["properties"])
        elif what == "_mget":
            docs = [(key, index["docs"].get(key)) for key in json.loads(body)["ids"]]
            return 200, {"docs": [{"_id": k, "found": bool(d and d[1] is not None), **({"_version": d[0]} if d and d[1] is not None else {}),
                                   "_source": (d[1] if d else None) or {}} for k, d in docs]}
        elif what == "_bulk" and self.mode == "full":
            return 429, {"error": {"reason": "too many requests"}}
        elif what == "_bulk":
            return self.bulk(index, body)
        elif what == "_search":
            return 200, self.search(name, json.loads(body))
        elif what == "_delete_by_query":
            gone = [k for k, (_, d) in index["docs"].items() if d is not None and holds(json.loads(body)["query"], d)]
            for k in gone:
                del index["docs"][k]
            return 200, {"deleted": len(gone), "version_conflicts": 0, "failures": []}
        return 200, {"acknowledged": True}

    @staticmethod
    def bulk(index, body):
        items, lines = [], [json.loads(line) for line in body.splitlines()]
        while lines:
            (op, head), = lines.pop(0).items()
            source = lines.pop(0) if op == "index" else None
            version, old = head["version"], index["docs"].get(head["_id"])
            stale = old is not None and old[0] >= version
            if not stale:
                index["docs"][head["_id"]] = (version, source)
            items.append({op: {"status": 409 if stale else 200 if source or old else 404}})
        return 200, {"errors": any(i["status"] >= 400 for x in items for i in x.values()), "items": items}

    def search(self, name, q):
        index = self.indices[self.aliases.get(name, name)]
        docs = [(k, d) for k, (_, d) in index["docs"].items() if d is not None and ("query" not in q or holds(q["query"], d))]
        best = sorted(((score(q["query"], d) if "query" in q else 1, k, d) for k, d in docs), key=lambda x: (-x[0], x[1]))
        hits = [{"_id": k, "_score": s, "_source": shown(d, q.get("_source"))} for s, k, d in best[:q.get("size", 10)]]
        return {"status": 200, "timed_out": False, "hits": {"total": {"value": len(docs)}, "hits": hits},
                "aggregations": counted(q.get("aggs", {}), [d for _, d in docs])}
