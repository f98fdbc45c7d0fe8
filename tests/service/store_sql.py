"""The files of store/sql: every statement fits the migrated schema, psql reads each file, and the generator refuses what is wrong.

What the statements do is tested elsewhere (store_tenancy, store_explain, store_statements)."""
import os
import re
import subprocess

import pytest

from busfake import BIN, Hub, Service
from pg import BIN as PG_BIN, Postgres
from sql_kit import FILES, ROOT, Plans, Statement, generate, index_tables, statements


@pytest.fixture(scope="module")
def pg():
    with Postgres() as p, Hub() as h:
        with Service("store", h, DATABASE_URL=p.url):
            pass
        index_tables(p)
        yield p


def unfit(pg, table):
    """What the server refuses of a table, each statement prepared by itself: ["NAME: why"]."""
    plans, bad = Plans(pg, table), []
    for name, s in table.items():
        try:
            plans.prepare(name)
            plans.cur.execute("select cardinality(parameter_types) from pg_prepared_statements where name = %s", (f"fn_{name.lower()}",))
            n = plans.cur.fetchone()[0]
            if n != s.params:
                bad.append(f"{name}: takes {n} parameters, the table says {s.params}")
        except Exception as e:
            bad.append(f"{name}: {e}")
    plans.close()
    return bad


def test_every_statement_is_prepared_on_the_migrated_schema(pg):
    table = statements()
    assert len(table) > 100 and not (bad := unfit(pg, table)), "\n".join(bad)


def test_a_statement_that_does_not_fit_is_named(pg):
    table = {"GOOD": Statement("GOOD", 1, "", "SELECT id FROM messages WHERE id = $1::uuid"),
             "GONE": Statement("GONE", 0, "", "SELECT a_column_that_went FROM messages"),
             "MORE": Statement("MORE", 2, "", "SELECT $1::text")}
    bad = unfit(pg, table)
    assert [b.split(":")[0] for b in bad] == ["GONE", "MORE"] and "a_column_that_went" in bad[0]


@pytest.mark.parametrize("path", [os.path.relpath(f, ROOT) for f in FILES])
def test_psql_reads_each_file(pg, tmp_path, path):
    """As a person does who wants to try a statement: \\i it, then EXECUTE or EXPLAIN EXECUTE."""
    names = {n.lower() for n in re.findall(r"^-- name: (\w+)", open(os.path.join(ROOT, path)).read(), re.M)}
    got = generate(*[os.path.relpath(f, ROOT) for f in FILES], to="psql", only=path, cwd=ROOT)
    assert got.returncode == 0, got.stderr
    script = tmp_path / "statements.psql"
    script.write_text(got.stdout)
    script.chmod(0o644)
    ask = f"set search_path = footnote;\n\\i {script}\nselect name from pg_prepared_statements;\n"
    out = subprocess.run([os.path.join(PG_BIN, "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", pg.url], input=ask, capture_output=True, text=True)
    assert out.returncode == 0 and set(out.stdout.split()) == names, out.stderr


GOOD = "-- name: ONE (shared)\n-- It says one.\nSELECT 1;\n"
WRONG = {
    "has no comment": "-- name: ONE (shared)\nSELECT 1;\n",
    "expected": "-- name: One\n-- It says one.\nSELECT 1;\n",
    "ONE does not end": "-- name: ONE (shared)\n-- It says one.\nSELECT 1\n\n-- name: TWO (shared)\n-- Two.\nSELECT 2;\n",
    "TWO does not end": GOOD + "\n-- name: TWO (shared)\n-- Two.\nSELECT 2\n",
    "a second time": GOOD + "\n" + GOOD,
    "belongs to no statement": GOOD + "SELECT 2;\n",
    "no piece some": "-- name: ONE (shared)\n-- It says one.\nSELECT :some;\n",
    "piece some is not used": GOOD + "\n-- piece: some\n-- Some.\n1;\n",
    "pieces that stand in each other": "-- name: ONE (shared)\n-- One.\nSELECT :a;\n-- piece: a\n-- A.\n:b;\n-- piece: b\n-- B.\n:a;\n",
    "does not explain its parameter $2": "-- name: ONE (shared)\n-- It adds.\n--   $1 a, $22 b\nSELECT $1::int8 + $2::int8;\n",
    "does not use its parameter $1": "-- name: ONE (shared)\n-- It says.\n--   $2 b\nSELECT $2::int8;\n",
    "a literal ends on its line": "-- name: ONE (shared)\n-- It says one.\nSELECT 'a\nb';\n",
    "no statements": "-- only a comment\n",
}


@pytest.mark.parametrize("why", WRONG)
def test_the_generator_says_what_is_wrong(tmp_path, why):
    f = tmp_path / "x.sql"
    f.write_text(WRONG[why])
    got = generate(str(f))
    assert got.returncode != 0 and why in got.stderr and got.stderr.count("\n") == 1, got.stderr


def test_white_space_and_comments_go_but_for_those_in_literals(tmp_path):
    f = tmp_path / "x.sql"
    f.write_text("-- A file.\n\n-- name: ONE (tenant)\n-- It says one.\n--   $1 what\n"
                 "SELECT (  -- not this\n        :both,\n    'two  -- words; :both $9 ''x''  '  ,\n    \"a\\b\"\n) FROM t\n  -- nor that\n"
                 "WHERE a - 1 = $1::int8 AND b::text = ''\n;\n\n-- piece: both\n-- Two.\nx,\n    y;\n")
    got = generate(str(f))
    assert got.returncode == 0, got.stderr
    text = r"SELECT (x, y, 'two  -- words; :both $9 ''x''  ', \"a\\b\") FROM t WHERE a - 1 = $1::int8 AND b::text = ''"
    assert got.stdout.splitlines()[1] == f'SQL(ONE, 1, TENANT, "{text}")'


def test_what_is_compiled_follows_a_file_that_changed():
    """make generates the table and compiles what reads it; in whichever variant this test runs."""
    make = ["make", "--no-print-directory", "-n", f"VARIANT={os.path.basename(BIN)}", "-W", "store/sql/turn.sql", f"build/{os.path.basename(BIN)}/footnote-store"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    out = subprocess.run(make, cwd=ROOT, env=env, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert "store/sql/generate.awk" in out.stdout
    for part in ("store/pool/tx", "store/stat", "store/calls/turn"):
        assert f"-c -o build/{os.path.basename(BIN)}/obj/{part}.o" in out.stdout, out.stdout
    assert "gateway" not in out.stdout
