"""Two database roles: an owner migrates, a plain one serves. And TLS to Postgres, as far as sslmode takes it."""
import os
import subprocess

import psycopg2
import pytest

from busfake import BIN, Service, wait_for
from pg import Postgres
from store_kit import session, turn

STORE = os.path.join(BIN, "footnote-store")
TLS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "kit", "tls_certs.sh")
PASSWORD = "p:a/s'\"s w%rd"
QUOTED = "p%3Aa%2Fs%27%22s%20w%25rd"


@pytest.fixture
def pg():
    with Postgres() as p:
        yield p


def ask_for_passwords(pg):
    """Of everybody but the owner, over TCP."""
    with open(os.path.join(pg.data, "pg_hba.conf"), "w") as f:
        f.write("local all all trust\nhost all footnote all trust\nhost all all all scram-sha-256\n")
    pg.psql("SELECT pg_reload_conf()")


def app(pg, password=QUOTED, **kw):
    return f"postgresql://app%20one:{password}@127.0.0.1:{pg.port}/footnote"


def lines(service, text):
    return [line for line in service.text().splitlines() if text in line]


def run_migrate(**env):
    env = {"PATH": os.environ["PATH"], "METRICS_PORT": "0", "MESSAGES_PARTITIONED": os.environ.get("MESSAGES_PARTITIONED", "off"), **env}
    return subprocess.run([STORE, "--migrate"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def test_the_owner_makes_the_role_that_serves_and_that_role_can_change_rows_but_not_the_schema(pg, hub):
    ask_for_passwords(pg)
    for _ in range(2):  # a second time changes nothing
        r = run_migrate(DATABASE_URL=app(pg), DATABASE_OWNER_URL=pg.url)
        assert r.returncode == 0, r.stderr
    assert PASSWORD not in open(os.path.join(pg.root, "log")).read()
    with Service("store", hub, DATABASE_URL=app(pg)) as store:
        turn(hub, session())
        hub.ok("cleanup", {"job": "jobs", "limit": 100})
        assert not lines(store, "superuser")
    c = psycopg2.connect(host="127.0.0.1", port=pg.port, user="app one", password=PASSWORD, dbname="footnote")
    c.autocommit = True
    cur = c.cursor()
    cur.execute("SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user")
    assert cur.fetchone() == (False, False, False)
    for sql in ("DROP TABLE footnote.messages", "CREATE TABLE footnote.mine (i int)", "ALTER TABLE footnote.api_keys ADD x int",
                "TRUNCATE footnote.messages", "DELETE FROM footnote.schema_migrations", "CREATE ROLE another",
                "SELECT pg_read_file('/etc/hostname')", "COPY footnote.messages TO PROGRAM 'cat'"):
        with pytest.raises(psycopg2.Error) as e:
            cur.execute(sql)
        assert e.value.pgcode == "42501", (sql, e.value)
    c.close()


def test_a_store_that_has_the_owners_address_migrates_by_itself_and_keeps_no_connection_of_the_owner(pg, hub):
    with Service("store", hub, DATABASE_URL=pg.app_url, DATABASE_OWNER_URL=pg.url):
        turn(hub, session())
        users = pg.psql("SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'footnote-store'").split()
        assert users == ["footnote_app"]


def test_a_store_that_may_not_migrate_waits_until_the_owner_has_and_says_so(pg, hub):
    pg.psql("CREATE ROLE footnote_app LOGIN")
    with Service("store", hub, wait=False, DATABASE_URL=pg.app_url) as store:
        wait_for("a word of waiting", lambda: lines(store, "waiting until its owner has migrated it"))
        pg.migrate(STORE)
        wait_for("ready", store.ready)
        turn(hub, session())


def test_one_role_for_both_works_and_a_superuser_is_warned_of(pg, hub):
    pg.psql("CREATE ROLE plain LOGIN; GRANT CREATE ON DATABASE footnote TO plain")
    with Service("store", hub, DATABASE_URL=pg.url.replace("footnote@", "plain@"), DATABASE_SCHEMA="plain") as store:
        turn(hub, session())
        assert not lines(store, "superuser")
    with Service("store", hub, DATABASE_URL=pg.url) as store:
        assert lines(store, "the role of DATABASE_URL is a superuser")


def test_a_migration_that_the_database_refuses_ends_with_the_reason(pg):
    pg.psql("CREATE ROLE nobody LOGIN")
    r = run_migrate(DATABASE_URL=pg.url.replace("footnote@", "nobody@"))
    assert r.returncode == 1 and "this role may not change the schema" in r.stderr
    pg.psql("GRANT CREATE ON DATABASE footnote TO nobody")  # may make the schema, but no roles
    r = run_migrate(DATABASE_URL=pg.app_url, DATABASE_OWNER_URL=pg.url.replace("footnote@", "nobody@"))
    assert r.returncode == 1 and "42501" in r.stderr
    r = run_migrate(DATABASE_URL=pg.url, IMPORT_FROM=pg.url)
    assert r.returncode == 2 and "--migrate" in r.stderr


def test_verify_full_takes_only_a_server_that_proves_its_name(pg, hub):
    certs = os.path.join(pg.root, "tls")
    os.mkdir(certs)
    subprocess.run([TLS, certs], check=True)
    subprocess.run(["chmod", "-R", "a+rX", certs], check=True)
    key = {n: os.path.join(pg.data, n + ".key") for n in ("server", "wrong")}
    for n, path in key.items():
        subprocess.run(["install", "-m", "600", *(["-o", "postgres", "-g", "postgres"] if os.getuid() == 0 else []),
                        os.path.join(certs, n + ".key"), path], check=True)

    def serve(name):
        pg.conf(ssl="on", ssl_cert_file=os.path.join(certs, name + ".crt"), ssl_key_file=key[name])
        pg.restart("fast")

    def url(ca):
        return f"postgresql://footnote@localhost:{pg.port}/footnote?sslmode=verify-full&sslrootcert={os.path.join(certs, ca)}"

    serve("server")
    with Service("store", hub, DATABASE_URL=url("ca.crt")):
        turn(hub, session())
        assert pg.psql("SELECT DISTINCT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)"
                       " WHERE application_name = 'footnote-store'").split() == ["t"]
    for name, ca, says in (("server", "other.crt", "certificate verify failed"), ("wrong", "ca.crt", "does not match host name")):
        serve(name)
        with Service("store", hub, wait=False, DATABASE_URL=url(ca)) as store:
            wait_for(says, lambda: lines(store, says))
            assert not store.ready()
