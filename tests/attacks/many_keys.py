"""Ten thousand keys and ten thousand collections of one tenant, two gateways: every one works, a revoked key is refused by both within
250 ms, and a gateway that starts with all of them is ready within 2 s.

# attack: A01 C3 M1; limit 900; short 150
The tenant's limits are raised. Keys and collections are put into the database as the API writes them (SHA-256, numbers by trigger), since
what is measured is what gateways and store do with them; those that are revoked are made and revoked through the API.
"""
import hashlib
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kit"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bars import Bars, pick  # noqa: E402
from suite import ADMIN_KEY, LOOPBACK, Suite, free_port, new_session, source_session, wait_for  # noqa: E402

N = pick(2000, 10000)
REVOKED = pick(40, 1000)
WORKERS = 8


def secret(i):
    return f"fn_attack_{i:08}_{hashlib.sha256(str(i).encode()).hexdigest()[:24]}"


def in_parallel(n, one):
    """one(i, http) for each i below n, by some threads with a connection each; what was not true."""
    wrong, lock, left = [], threading.Lock(), iter(range(n))

    def work(me):
        http = source_session(f"127.0.80.{me + 1}")
        while True:
            with lock:
                i = next(left, None)
            if i is None:
                break
            try:
                good = one(i, http)
            except Exception as e:  # noqa: BLE001 - any failure is a finding
                good = False
                print(f"{i}: {e}", file=sys.stderr)
            if not good:
                with lock:
                    wrong.append(i)
        http.close()
    threads = [threading.Thread(target=work, args=(m,)) for m in range(WORKERS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return wrong


def bearer(key):
    return {"Authorization": "Bearer " + key}


def fill(s):
    c = s.pg()
    with c.cursor() as cur:
        cur.execute("INSERT INTO api_keys (hash, tenant, label, scopes, per_minute, per_hour) SELECT h, 'many', 'l',"
                    " '{chat,ingest}', 100000, 10000000 FROM unnest(%s) AS h",
                    ([hashlib.sha256(secret(i).encode()).digest() for i in range(N)],))
        cur.execute(f"INSERT INTO collections (tenant, name, refusal) SELECT 'many', 'c' || i, 'nothing in ' || i FROM generate_series(0, {N - 1}) i")
    c.commit()
    c.close()


def main():
    with Bars() as b:
        s = Suite(auth="on", env={"LOG_LEVEL": "warn", "RATE_LIMIT_REQUESTS": "1000000"},
                  service_env={"store": {"MAX_KEYS_PER_TENANT": "50000", "MAX_COLLECTIONS_PER_TENANT": "50000"}})
        port, hub = free_port(), free_port()
        s.extra["HUB_ENDPOINTS"] = f"tcp://{LOOPBACK}:{s.hub_port},tcp://{LOOPBACK}:{hub}"
        second = {"PORT": str(port), "HUB_BIND": f"tcp://{LOOPBACK}:{hub}"}
        urls = (s.url, f"http://{LOOPBACK}:{port}")
        with s:
            s.start("gateway", "gateway.2", env=second)
            wait_for("the second gateway", s.services["gateway.2"].ready, 20)
            fill(s)
            for g in ("gateway", "gateway.2"):
                wait_for("all keys known", lambda g=g: s.metrics(g).value("api_keys") >= N, 20)
            works(b, s, urls)
            revocations(b, s, urls)
            restart(b, s, urls)


def works(b, s, urls):
    def key_works(i, http):
        return all(http.get(u + "/api/v1/collections/c0", headers=bearer(secret(i)), timeout=20).status_code == 200 for u in urls)

    def collection_works(i, http):
        h, name = bearer(secret(i)), f"c{i}"
        one = http.get(urls[i % 2] + "/api/v1/collections/" + name, headers=h, timeout=20)
        said = http.post(urls[(i + 1) % 2] + "/api/v1/chat/query", headers=h, timeout=20,
                         json={"question": "Is there anything?", "session_id": new_session(), "collection": name})
        found = http.post(urls[i % 2] + "/api/v1/search", headers=h, json={"query": "anything", "collection": name}, timeout=20)
        return (one.status_code == found.status_code == said.status_code == 200 and said.json()["answer"] == f"nothing in {i}")

    def upload_works(i, http):
        r = http.post(urls[i % 2] + "/api/v1/documents", headers=bearer(secret(i)), json={"id": "d", "text": "words", "collection": f"c{N - 1 - i}"},
                      timeout=20)
        return r.status_code == 202
    b.none(f"C3_keys_{N}_two_gateways_refused", in_parallel(N, key_works))
    b.none(f"M1_collections_{N}_not_answering", in_parallel(N, collection_works))
    b.none("M1_uploads_to_the_last_refused", in_parallel(pick(20, 200), upload_works))
    names, cursor, http = [], None, source_session("127.0.81.1")
    while True:
        r = http.get(urls[0] + "/api/v1/collections", headers=bearer(secret(0)), params={"cursor": cursor} if cursor else {}, timeout=20).json()
        names += [c["name"] for c in r["items"]]
        cursor = r["next_cursor"]
        if not cursor:
            break
    b.equal("M1_collections_listed", len(set(names)), N)


def revocations(b, s, urls):
    """Made and used on both gateways, revoked through one of them, tried on both 250 ms after the answer."""
    late, lock = [], threading.Lock()

    def revoke(i, http):
        made = http.post(urls[i % 2] + "/api/v1/keys", headers=bearer(ADMIN_KEY), timeout=20,
                         json={"label": "r", "scopes": ["chat"], "tenant": "many"}).json()
        h = bearer(made["key"])
        for u in urls:
            wait_for("the new key", lambda u=u: http.get(u + "/api/v1/collections/c0", headers=h, timeout=20).status_code == 200, 2)
        gone = http.delete(f"{urls[(i + 1) % 2]}/api/v1/keys/{made['id']}", headers=bearer(ADMIN_KEY), params={"tenant": "many"}, timeout=20)
        told = time.monotonic()
        if gone.status_code != 204:
            return False
        time.sleep(max(0, told + 0.25 - time.monotonic()))
        codes = [http.get(u + "/api/v1/collections/c0", headers=h, timeout=20).status_code for u in urls]
        if 200 in codes:
            with lock:
                late.append(i)
        return all(c in (401, 429) for c in codes)
    wrong = in_parallel(REVOKED, revoke)
    b.equal("C3_revoked_refused_by_both_in_250_ms", REVOKED - len(wrong), REVOKED)


def restart(b, s, urls):
    s.stop_service("gateway")
    begun = time.monotonic()
    s.start("gateway")
    http = source_session("127.0.82.1")

    def ready():
        try:
            return http.get(urls[0] + "/readyz", timeout=1).status_code == 200
        except OSError:
            return False
    wait_for("ready", ready, 30)
    took = time.monotonic() - begun
    refused = [i for i in range(0, N, N // 200)
               if http.get(urls[0] + "/api/v1/collections/c0", headers=bearer(secret(i)), timeout=20).status_code != 200]
    b.most(f"C3_restart_with_{N}_keys_ready_s", took, 2.0, timed=True)
    b.none("C3_keys_refused_after_restart", refused)


main()
