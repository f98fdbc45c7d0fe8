/* The rights of a process that reads a stranger's file: it computes, reads what is open, writes what it found, and nothing else. */
#ifndef EXTRACT_CONFINE_H
#define EXTRACT_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

/* Memory, processor time, sizes of files, no core dump, no new privileges, and it dies with its parent.
 * seconds: of processor time. */
void confine_limits(size_t memory, unsigned seconds);
/* From now on the kernel refuses every call but those of a reader; one for the network, another program or
 * another process ends it.
 * program: it is about to run another program: files may be opened for reading, code loaded, and that program run. */
void confine_calls(bool program);

#endif
