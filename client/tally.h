/* A tally of many files or pages (tally.c), and the state of one that the gateway has still to make searchable (job.c). */
#ifndef CLIENT_TALLY_H
#define CLIENT_TALLY_H

#include "client/client.h"

/* ---- tally.c: for people as it happens and on stderr, with --json as members of one object at the end */
struct tally {
    bool json;                  /* --json */
    struct buf reasons;         /* a line for each that failed */
    struct buf items, failures; /* with --json: objects, separated by commas */
};
/* "new guide/setup.md" as a line on stdout; with --json {"state":"new","id":"guide/setup.md"} among the items. */
void tally_item(struct tally *o, const char *state, const char *id);
void tally_fail(struct tally *o, const char *id, const char *why);
/* The heading and the reasons on stderr; nothing when nothing failed. */
void tally_say(const struct tally *o, const char *heading);
/* Add failures ([{"id","error"}]) and, where a run only looks, items to an object that is begun. */
void tally_put(const struct tally *o, bool items, struct buf *object);
void tally_fini(struct tally *o);
/* An object that is begun and not closed: closed and printed as a line. It is empty then. */
void object_print(struct buf *object);

/* ---- job.c */
enum job { JOB_RUNS, JOB_DONE, JOB_FAILED }; /* done: and its documents are searchable */
/* *why: of a failure, from the job; it lives as long as that. */
enum job job_state(const json_t *job, struct str *why);
/* The job at the path, asked for with patience: its state. chunks, which may be NULL: of a job that is done. JOB_FAILED: why says it, and
 * *hopeless is true when no other call will do better. */
enum job job_look(const struct cli *c, const char *path, int64_t *chunks, struct buf *why, bool *hopeless);
/* The path to ask about a job, of the reply that named it. False: it names none. */
bool job_path(const struct fetch *k, const json_t *reply, char path[64]);

#endif
