/* JSON Lines: one JSON value a line, ended by LF (CR LF is fine). Empty lines count but are passed over. */
#ifndef GATEWAY_UPLOAD_JSONL_H
#define GATEWAY_UPLOAD_JSONL_H

#include "common/str.h"

struct jsonl {
    struct str left; /* the rest to be read */
    size_t line;     /* number of the line last returned, from 1 */
};
/* The next line that is not empty; false: there is none. */
bool jsonl_next(struct jsonl *j, struct str *line);

#endif
