/* How many descriptors this process may have open (RLIMIT_NOFILE). Shells and systemd begin with a soft limit of 1,024 below a hard one of
 * 4,096 to a million: a process may raise the soft one by itself. */
#ifndef COMMON_PROCESS_DESCRIPTORS_H
#define COMMON_PROCESS_DESCRIPTORS_H

#include <stdbool.h>

#define DESCRIPTORS_MOST \
    1048576 /* more are of no use, and some programs look at every one that there may be */

/* The soft limit becomes the hard one, at most DESCRIPTORS_MOST; one that is higher stays. Once, at the start. */
void descriptors_raise(void);
/* The soft limit now. */
long descriptors_limit(void);
/* An option wants so many. false after a warning: there are fewer, and it must be lowered or the limit raised. */
bool descriptors_enough(const char *option, long value, long wanted);

#endif
