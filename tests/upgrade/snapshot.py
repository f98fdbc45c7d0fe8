#!/usr/bin/env python3
"""Writes previous.json: the statements of a release and how many migrations it knows, for tests/service/store_upgrade.py, which
has no history to look into. Run it when a release is tagged:  tests/upgrade/snapshot.py v0.2.0
Without an argument: the previous release as previous.sh tells it."""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "kit"))
from sql_kit import ROOT, statements  # noqa: E402


def git(*args):
    return subprocess.run(["git", "-C", ROOT, *args], check=True, capture_output=True).stdout


def main():
    ref = sys.argv[1] if len(sys.argv) > 1 else subprocess.run([os.path.join(HERE, "previous.sh")], check=True, text=True,
                                                               stdout=subprocess.PIPE).stdout.strip()
    with tempfile.TemporaryDirectory() as tree:
        subprocess.run(["tar", "-x", "-C", tree], input=git("archive", ref, "store", "proto"), check=True)
        known = [f for f in os.listdir(os.path.join(tree, "store", "migrations")) if f[0].isdigit()]
        got = {"release": git("log", "-1", "--format=%h %cs", ref).decode().strip(), "migrations": len(known),
               "statements": {n: s.text for n, s in sorted(statements(tree).items())}}
    with open(os.path.join(HERE, "previous.json"), "w") as f:
        json.dump(got, f, indent=1)
        f.write("\n")
    print(f"previous.json: {got['release']}, {len(got['statements'])} statements, {got['migrations']} migrations")


if __name__ == "__main__":
    main()
