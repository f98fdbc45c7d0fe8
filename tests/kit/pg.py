"""A private Postgres for tests: a folder of its own, a Unix socket and a free port, stopped by its pid.

    with Postgres() as pg:
        pg.url                      postgresql://…@127.0.0.1:PORT/footnote   (for DATABASE_URL)
        pg.connect()                a psycopg2 connection, autocommit, search_path = footnote
        pg.psql("select 1")         what psql prints
        pg.restart("fast"), pg.stop("immediate"), pg.start(), pg.pause(), pg.resume(), pg.conf(max_connections=10)
    with pg.replica() as standby:   a second server that follows it; standby.promote()
    with PgBouncer(pg, "transaction") as b:     b.url

As root the server runs as the user postgres (Postgres refuses to run as root).
"""
import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import psycopg2

from ports import free_port

BIN = os.environ.get("PG_BIN") or max(
    (os.path.join(d, "bin") for d in (os.path.join("/usr/lib/postgresql", v) for v in os.listdir("/usr/lib/postgresql"))
     if os.path.exists(os.path.join(d, "bin", "initdb"))), key=lambda p: int(p.split("/")[-2]))


def lives(pid):
    """Neither ended nor a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Postgres:
    def __init__(self, start=True, follow=None, host="127.0.0.1", **conf):
        self.host = host  # another one than loopback: everybody of its network may come
        self.root = tempfile.mkdtemp(prefix="fnpg-")
        self.data = os.path.join(self.root, "data")
        self.port = free_port()
        self.pid = None
        self._conf = {"shared_buffers": "32MB", **conf}
        self._user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        atexit.register(self.close)
        os.chmod(self.root, 0o755)
        if os.getuid() == 0:
            shutil.chown(self.root, "postgres", "postgres")
        try:
            if follow:
                self._follow(follow)
            else:
                self._run("initdb", "-D", self.data, "-U", "footnote", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
            if host != "127.0.0.1":
                with open(os.path.join(self.data, "pg_hba.conf"), "a") as f:
                    f.write("host all all samenet trust\nhost replication all samenet trust\n")
            if start:
                self.start()
            if start and not follow:
                self.psql("CREATE DATABASE footnote", db="postgres")
        except BaseException:
            self.close()
            raise

    # ---- names
    @property
    def url(self):
        return f"postgresql://footnote@{self.host}:{self.port}/footnote"

    @property
    def app_url(self):
        """As the role that serves: no superuser, owns nothing. migrate() makes it."""
        return f"postgresql://footnote_app@{self.host}:{self.port}/footnote"

    def migrate(self, store, **env):
        """What an operator does first: the owner brings the schema up to date and lets the other role serve."""
        env = {"PATH": os.environ["PATH"], "METRICS_PORT": "0", "DATABASE_URL": self.app_url, "DATABASE_OWNER_URL": self.url,
               "MESSAGES_PARTITIONED": os.environ.get("MESSAGES_PARTITIONED", "off"), **env}
        r = subprocess.run([store, "--migrate"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stderr
        return r.stderr

    @property
    def dsn(self):
        return self.url + "?options=-csearch_path%3Dfootnote"

    # ---- running
    def _as_owner(self):
        if os.getuid() != 0:
            return None
        who = pwd.getpwnam("postgres")

        def drop():
            os.setgid(who.pw_gid)
            os.setuid(who.pw_uid)
        return drop

    def _run(self, tool, *args):
        r = subprocess.run([os.path.join(BIN, tool), *args], preexec_fn=self._as_owner(), cwd=self.root,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert r.returncode == 0, f"{tool}: {r.stdout}"
        return r.stdout

    # ---- a second server
    def _follow(self, primary):
        """This folder becomes a copy of that server, which goes on following it."""
        self._run("pg_basebackup", "-D", self.data, "-h", primary.root, "-p", str(primary.port), "-U", "footnote", "-c", "fast",
                  "-X", "stream")
        with open(os.path.join(self.data, "standby.signal"), "w"):
            pass
        there = primary.root if primary.host == "127.0.0.1" else primary.host
        self._conf["primary_conninfo"] = f"host={there} port={primary.port} user=footnote application_name=standby"

    def replica(self, make=None, **conf):
        """A standby that has everything this server has acknowledged from now on."""
        standby = (make or Postgres)(follow=self, **conf)
        self.psql("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        self.psql("SELECT pg_reload_conf()")
        end = time.monotonic() + 30
        while self.psql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").strip() != "1":
            assert time.monotonic() < end, open(standby.root + "/log").read()[-2000:]
            time.sleep(0.01)
        return standby

    def promote(self):
        self._run("pg_ctl", "promote", "-w", "-D", self.data)

    def conf(self, **conf):
        """Settings of the next start."""
        self._conf.update(conf)

    def start(self, wait=True):
        with open(os.path.join(self.data, "postgresql.auto.conf"), "w") as f:
            for k, v in self._conf.items():
                f.write(f"{k} = '{v}'\n")
        log = open(os.path.join(self.root, "log"), "ab")
        self.process = subprocess.Popen(
            [os.path.join(BIN, "postgres"), "-D", self.data, "-p", str(self.port), "-k", self.root, "-h", self.host],
            preexec_fn=self._as_owner(), cwd=self.root, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.pid = self.process.pid
        end = time.monotonic() + 30
        while wait:
            try:
                psycopg2.connect(host=self.root, port=self.port, user="footnote", dbname="postgres").close()
                break
            except psycopg2.OperationalError:
                assert self.process.poll() is None and time.monotonic() < end, open(self.root + "/log").read()[-2000:]
                time.sleep(0.01)

    def stop(self, mode="fast"):
        """smart, fast, immediate; or kill: no chance to say good-bye."""
        if self.pid is None:
            return
        how = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill": signal.SIGKILL}[mode]
        killed = []
        if mode == "kill":
            killed = self._all(signal.SIGKILL)
        else:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, how)
        self.process.wait(30)
        self.pid = None
        end = time.monotonic() + 30
        while any(map(lives, killed)) and time.monotonic() < end:  # the next server starts when they have let go of the memory
            time.sleep(0.002)

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def _all(self, sig):
        """The server and its children: a stopped postmaster alone would let its backends go on."""
        kids = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, text=True).stdout
        pids = [self.pid, *map(int, kids.split())]
        for pid in pids:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
        return pids

    def pause(self):
        self._all(signal.SIGSTOP)

    def resume(self):
        self._all(signal.SIGCONT)

    # ---- asking
    def connect(self, **kw):
        c = psycopg2.connect(kw.pop("dsn", self.dsn), **kw)
        c.autocommit = True
        return c

    def query(self, sql, *args):
        """Rows of one statement, on a connection of its own."""
        c = self.connect()
        try:
            with c.cursor() as cur:
                cur.execute(sql, args or None)
                return cur.fetchall() if cur.description else cur.rowcount
        finally:
            c.close()

    def value(self, sql, *args):
        return self.query(sql, *args)[0][0]

    def psql(self, sql, db="footnote"):
        return self._run("psql", "-XqAt", "-h", self.root, "-p", str(self.port), "-U", "footnote", "-d", db,
                         "-v", "ON_ERROR_STOP=1", "-c", sql)

    def dump(self):
        """A backup as docs/operating.md says it is made; its path."""
        path = os.path.join(self.root, "footnote.dump")
        self._run("pg_dump", "-h", self.root, "-p", str(self.port), "-U", "footnote", "-Fc", "-f", path, "footnote")
        return path

    def restore(self, path):
        """As docs/operating.md says: --clean does not take partitioned tables apart."""
        if self.psql("SELECT to_regclass('footnote.messages_default')").strip():
            self.psql("DROP SCHEMA footnote CASCADE")
        self._run("pg_restore", "-h", self.root, "-p", str(self.port), "-U", "footnote", "-d", "footnote", "--clean", "--if-exists", path)

    def close(self):
        try:
            if self.pid is not None and self.process.poll() is None:
                self._all(signal.SIGCONT)
                self.stop("immediate")
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class PgBouncer:
    """PgBouncer before a Postgres, in the mode "session" or "transaction"; b.url is for DATABASE_URL."""

    def __init__(self, pg, mode, pool=40):
        self.pg, self.port = pg, free_port()
        self.root = tempfile.mkdtemp(prefix="fnbouncer-")
        atexit.register(self.close)
        ini = os.path.join(self.root, "pgbouncer.ini")
        with open(ini, "w") as f:
            f.write(f"[databases]\nfootnote = host=127.0.0.1 port={pg.port} user=footnote\n[pgbouncer]\n"
                    f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n"
                    f"default_pool_size = {pool}\nmax_client_conn = 200\nserver_login_retry = 1\n")
        if os.getuid() == 0:
            for path in (self.root, ini):
                shutil.chown(path, "postgres", "postgres")
        with open(os.path.join(self.root, "log"), "ab") as log:
            self.process = subprocess.Popen([shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin"), ini],
                                            preexec_fn=pg._as_owner(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", self.port)) != 0:
            assert self.process.poll() is None and time.monotonic() < end, open(self.root + "/log").read()[-2000:]
            time.sleep(0.01)

    @property
    def url(self):
        return f"postgresql://footnote@127.0.0.1:{self.port}/footnote"

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
