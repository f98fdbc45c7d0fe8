/* Requests and answers of the API, as data: schema.tbl, call.tbl and route.tbl as rows (table.c), from which
 * openapi.c and docs.c write. */
#ifndef GATEWAY_SPEC_SPEC_H
#define GATEWAY_SPEC_SPEC_H

#include "gateway/request/handler.h"

enum type { STR, UUID, UUID4, TIME, INT, NUM, BOOL, ENUM, REF, LIST, STRS, MAP, ANY, RAW };
enum need { REQ, NUL, OPT, OPN };
enum open { OPEN, CLOSED };

struct spec_field {
    const char *name;
    enum type type;
    enum need need;
    double least, most;
    const char *of, *words;
};
struct spec_object {
    const char *name;
    enum open open;
    const struct spec_field *fields;
    size_t n;
};
struct spec_answer {
    int status;
    const char *type, *object; /* "": none */
};
struct spec_param {
    const char *where;
    struct spec_field field;
};
#define SPEC_ANSWERS 3
#define SPEC_PARAMS 8
struct spec_call {
    const char *method, *path, *summary, *tag;
    enum who who;
    size_t body;
    unsigned flags;
    const char *takes, *object; /* content type and object of the request; "": none */
    struct spec_answer answers[SPEC_ANSWERS];
    size_t n_answers;
    struct spec_param params[SPEC_PARAMS];
    size_t n_params;
    const char *arg; /* name of the segment in braces, or NULL */
    int errors[24];  /* statuses, ascending, 0 behind the last */
};

/* Made once, at the first look; they live as long as the process. */
const struct spec_object *spec_objects(size_t *n);
const struct spec_object *spec_object(const char *name); /* NULL: none */
const struct spec_call *spec_calls(size_t *n);

#endif
