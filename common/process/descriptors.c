/* See descriptors.h. */
#include "common/process/descriptors.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "common/log.h"

long
descriptors_limit(void)
{
    struct rlimit r = { 0, 0 };

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return 0;
    return r.rlim_cur < DESCRIPTORS_MOST ? (long)r.rlim_cur : DESCRIPTORS_MOST;
}

void
descriptors_raise(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= r.rlim_max || r.rlim_cur >= DESCRIPTORS_MOST)
        return;
    r.rlim_cur = r.rlim_max < DESCRIPTORS_MOST ? r.rlim_max : DESCRIPTORS_MOST;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0)
        LOG(WARN, NULL, M("the limit of open files cannot be raised"), KI("to", r.rlim_cur),
            KS("why", strerror(errno)));
}

bool
descriptors_enough(const char *option, long value, long wanted)
{
    long limit = descriptors_limit();

    if (wanted <= limit)
        return true;
    LOG(WARN, NULL,
        M("too few files may be open for an option: raise the hard limit (LimitNOFILE, ulimit -Hn) or lower it"),
        KS("option", option), KI("value", value), KI("wanted", wanted), KI("limit", limit));
    return false;
}
