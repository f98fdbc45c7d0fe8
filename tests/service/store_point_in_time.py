"""docs/operating.md, "To a point in time": a base backup and archived WAL bring back any moment after it, here the one before
somebody deleted what they should not have."""
import os
import shutil

import pytest

from busfake import Service, wait_for
from pg import Postgres
from store_kit import finish_req, session, turn


@pytest.fixture
def archive(tmp_path):
    tmp_path.chmod(0o755)
    folder = tmp_path / "archive"
    folder.mkdir()
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    for parent in tmp_path.parents:  # pytest's own folders are the root's alone
        if parent.name.startswith("pytest-"):
            parent.chmod(0o755)
    return str(folder)


def test_a_deletion_is_undone_by_recovery_to_the_moment_before_it(archive, hub):
    sess = session()
    # beside, then renamed: a copy that was cut short must not be taken for the file
    keep = f"test ! -f {archive}/%f && cp %p {archive}/%f.part && mv {archive}/%f.part {archive}/%f"
    with Postgres(archive_mode="on", archive_command=keep) as pg:
        with Service("store", hub, DATABASE_URL=pg.url):
            turn(hub, sess, "before the backup")
            copy = Postgres(start=False, follow=pg)  # pg_basebackup
            turn(hub, sess, "after the backup")
            moment = pg.psql("SELECT clock_timestamp()").strip()
            hub.ok("session.delete", {"session": sess})
            assert pg.value("SELECT count(*) FROM messages") == 0
        last = pg.psql("SELECT pg_walfile_name(pg_switch_wal())").strip()
        wait_for("the last WAL file in the archive", lambda: os.path.exists(os.path.join(archive, last)), 30)
    # that server and its disk are gone
    os.remove(os.path.join(copy.data, "standby.signal"))
    open(os.path.join(copy.data, "recovery.signal"), "w").close()
    copy._conf.pop("primary_conninfo")
    copy.conf(restore_command=f"cp {archive}/%f %p", recovery_target_time=moment, recovery_target_action="promote")
    with copy:
        copy.start()
        wait_for("the end of recovery", lambda: copy.psql("SELECT pg_is_in_recovery()").strip() == "f", 30)
        with Service("store", hub, DATABASE_URL=copy.url):
            said = copy.psql("SELECT content FROM footnote.messages WHERE role = 'user' ORDER BY 1").split("\n")
            assert [s for s in said if s] == ["after the backup", "before the backup"]
            turn(hub, sess, "life goes on")
