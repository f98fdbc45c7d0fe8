"""The store's statements for tests, as store/sql/generate.awk gives them to the compiler, and plans of them.

    statements()                    {name: Statement(name, params, scope, text)}
    generate(…)                     what the generator says of some files
    Plans(pg)                       a connection that prepares statements and explains them
"""
import ast
import glob
import json
import os
import re
import subprocess
from collections import namedtuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
Statement = namedtuple("Statement", "name params scope text")
FILES = sorted(glob.glob(os.path.join(ROOT, "store", "sql", "*.sql")))
# releases before the .sql files had a table of macros
SHOW = '#define SQL(id, params, scope, text) @@ #id | params | #scope | text\n#include "store/sql.tbl"\n'


def generate(*files, root=ROOT, cwd=None, **values):
    """Runs the generator over the files; values are its variables (to="psql"). A subprocess.CompletedProcess."""
    given = [word for k, v in values.items() for word in ("-v", f"{k}={v}")]
    return subprocess.run(["awk", *given, "-f", os.path.join(root, "store", "sql", "generate.awk"), *files], cwd=cwd, capture_output=True, text=True)


def statements(root=ROOT):
    """The statements of the source tree `root`, by name."""
    if os.path.exists(os.path.join(root, "store", "sql.tbl")):
        return of_macros(root)
    got = generate(*sorted(glob.glob(os.path.join(root, "store", "sql", "*.sql"))), root=root)
    assert got.returncode == 0, got.stderr
    table = {}
    for line in got.stdout.splitlines()[1:]:
        name, params, scope, text = re.fullmatch(r'SQL\((\w+), (\d+), (\w+), (".*")\)', line).groups()
        table[name] = Statement(name, int(params), scope, ast.literal_eval(text))
    return table


def of_macros(root):
    out = subprocess.run(["cc", "-E", "-P", "-I.", "-"], input=SHOW, cwd=root, capture_output=True,
                         text=True, check=True).stdout
    table = {}
    for row in out.split("@@")[1:]:
        name, params, scope, text = re.fullmatch(r'\s*"(\w+)"\s*\|\s*(\d+)\s*\|\s*"(\w+)"\s*\|(.*)', row, re.S).groups()
        table[name] = Statement(name, int(params), scope, ast.literal_eval("(" + text.strip() + ")"))
    return table


def index_tables(pg):
    """The tables of INDEX_ENGINE=pgvector, beside the migrated ones: all but those of vectors, which alone need the extension."""
    with open(os.path.join(ROOT, "store", "pgvector", "tables.sql")) as f:
        pg.psql("SET search_path = footnote; " + f.read())


def literal(v):
    if v is None:
        return "NULL"
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, (int, float)):
        return str(v)
    if isinstance(v, (bytes, bytearray, memoryview)):
        return "'\\x" + bytes(v).hex() + "'::bytea"
    if isinstance(v, (list, tuple)):
        return "ARRAY[" + ", ".join(map(literal, v)) + "]" if v else "'{}'"
    return "'" + str(v).replace("'", "''") + "'"


class Plans:
    """Prepares statements as the store does and reads the plans that the server makes of them."""

    def __init__(self, pg, table=None):
        self.table = table or statements()
        self.conn = pg.connect()
        self.cur = self.conn.cursor()
        self.ready = set()

    def prepare(self, name):
        if name not in self.ready:
            self.cur.execute(f"PREPARE fn_{name} AS {self.table[name].text}".replace("%", "%%"), ())
            self.ready.add(name)

    def explain(self, name, *args, options="", mode="force_generic_plan"):
        """The plan as nested dicts. mode: force_generic_plan or force_custom_plan; a pooled connection may use either.
        With ANALYZE the statement runs, and what it wrote is taken back."""
        assert len(args) == self.table[name].params, f"{name} takes {self.table[name].params} parameters"
        self.prepare(name)
        self.cur.execute(f"SET plan_cache_mode = {mode}")
        values = f"({', '.join(map(literal, args))})" if args else ""
        self.cur.execute("BEGIN")
        try:
            self.cur.execute(f"EXPLAIN (FORMAT JSON{options}) EXECUTE fn_{name}{values}".replace("%", "%%"), ())
            got = self.cur.fetchone()[0]
        finally:
            self.cur.execute("ROLLBACK")
        return (json.loads(got) if isinstance(got, str) else got)[0]["Plan"]

    def close(self):
        self.conn.close()


def nodes(plan):
    """Every node of a plan."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def indexes(plan):
    """Names of the indexes that a plan reads, or that decide its conflicts."""
    return ({n["Index Name"] for n in nodes(plan) if "Index Name" in n} |
            {i for n in nodes(plan) for i in n.get("Conflict Arbiter Indexes", [])})


def buffers(plan):
    """Pages that the whole statement touched, found in memory or read."""
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def shape(plan, depth=0):
    """A plan in a few lines, for messages."""
    what = " ".join(str(plan[k]) for k in ("Node Type", "Relation Name", "Index Name") if k in plan)
    return "\n".join(["  " * depth + what] + [shape(p, depth + 1) for p in plan.get("Plans", [])])
