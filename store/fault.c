/* A test hook, off unless FAULT_AFTER_COMMIT=abort: the store stops at the worst moment, between the commit of a turn and
 * its reply, so that a test can see that the repeated request changes nothing (docs/faults.md, F07). Once: the file
 * FAULT_ONCE_FILE marks that it happened, for the process that is started next. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "store/store.h"

void
fault_after_commit(const struct store *s)
{
    int fd;

    if (!s->opt->fault_after_commit[0])
        return;
    fd = open(s->opt->fault_once_file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    close(fd);
    LOG(ERROR, NULL, M("FAULT_AFTER_COMMIT: stopping after a commit, as the test wants"));
    abort();
}
