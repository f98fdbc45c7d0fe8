/* Formats of documents, as format.tbl lists them: which one a file is, by what it was sent as and by its name. */
#ifndef PROTO_FORMAT_H
#define PROTO_FORMAT_H

#include "common/mem.h"

enum format {
    FORMAT_NONE = -1,
#define FORMAT(id, name, type, others, endings, kind, title, magic, member, place, by) FORMAT_##id,
#include "proto/format.tbl"
#undef FORMAT
    FORMAT_COUNT
};

struct format_desc {
    const char *name;    /* for people */
    const char *type;    /* media type, as it is stored */
    const char *others;  /* media types that may mean it, too; separated by blanks */
    const char *endings; /* of file names, separated by blanks */
    const char *magic;   /* its first bytes; "": none */
    const char *member;  /* it is a ZIP archive in which some name begins so; "": none */
    bool bytes;          /* its reader finds out what its bytes are; else they are UTF-8 */
    bool named;          /* without a title it is called as its file */
};
extern const struct format_desc formats[FORMAT_COUNT];

/* By media type, parameters ignored; FORMAT_NONE: none that is known. */
enum format format_of_type(struct str type);
/* By the ending of a file's name. */
enum format format_of_name(struct str filename);
/* The format that a file is taken as. A type that says little (none, text/plain, application/octet-stream)
 * leaves it to the ending, and so does one that may mean the format of the ending. */
enum format format_of_file(struct str type, struct str filename);
/* Do the bytes contradict what the file was taken as? Those of another format of the table win: *f is
 * that. NULL, or why it cannot be taken, in words, until the next call of this thread. *f may be
 * FORMAT_NONE: nothing was said. */
const char *format_check(struct str body, enum format *f);
/* Length of the ending by which format_of_name knows it; 0: by none. */
size_t format_ending(struct str filename);
/* Their names, "plain text, Markdown, …"; appended to out. */
void format_names(struct buf *out);

#endif
