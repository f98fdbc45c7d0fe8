/* Files that become documents: which ones a folder has, their bytes and links, and documents that are no files any more. */
#ifndef CLIENT_FILES_FILES_H
#define CLIENT_FILES_FILES_H

#include "client/client.h"

/* ---- files to ingest (walk.c) */
struct found {
    char *path; /* to open */
    char *id;   /* below the folder that was given */
    int64_t bytes;
};
struct skipped {
    char *path;
    const char *why; /* static */
};
struct found_list {
    struct found *v;
    size_t n, cap;
    struct skipped *skipped; /* files that are no documents */
    size_t n_skipped, cap_skipped;
    bool failed; /* something could not be read; it was said */
};
void walk(const char *path, struct found_list *out);
/* Sort by id. False after saying which two files would be the same document. */
bool found_sort(struct found_list *l);
void found_fini(struct found_list *l);

/* ---- what an ingestion takes (file.c): the same for one that is only looked at (sync/folder.c) */
struct site;
/* The files below what was named, in order; says what is skipped. False: there is none, or two would be one document. */
bool files_find(const struct cli *c, struct found_list *out);
const struct format_desc *file_format(const struct found *f);
/* Its bytes. NULL, or why they are not taken. */
const char *file_read(const struct found *f, struct buf *bytes);
/* Its link, appended; nothing when there is no site. */
void file_link(struct buf *out, const struct site *site, const struct found *f, struct str bytes);

/* ---- documents that are no files any more (missing.c) */
/* Named, or deleted with --delete-missing; with --json members of the object (missing, deleted). The exit code. */
int missing_handle(struct cli *c, const struct found_list *files, struct buf *object);

#endif
