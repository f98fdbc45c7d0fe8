/* The tables as rows (spec.h). The errors of a call derive from its row in route.tbl: who may call it, its body, its flags. */
#include "gateway/spec/spec.h"

#include <pthread.h>

/* Fields of all objects, one after the other; a row without a type word is the head of an object. */
static const struct row {
    bool head;
    enum open open;
    struct spec_field field;
} rows[] = {
#define OBJECT(name_, open_) { .head = true, .open = open_, .field = { #name_, ANY, REQ, 0, 0, "", "" } },
#define F(name_, type, need, least, most, of, words) \
    { .head = false, .open = OPEN, .field = { name_, type, need, least, most, of, words } },
#define END
#include "gateway/spec/schema.tbl"
#undef OBJECT
#undef F
#undef END
};
#define ROWS (sizeof rows / sizeof *rows)

enum route_id {
#define ROUTE(id, method, path, who, body, flags, handler, summary) R_##id,
#include "gateway/route.tbl"
#undef ROUTE
    CALLS
};

static struct spec_field fields[ROWS];
static struct spec_object objects[ROWS];
static size_t n_objects;
static struct spec_call calls[CALLS] = {
#define ROUTE(id, method, path, who, body, flags, handler, summary) \
    { #method, path, summary, "", WHO_##who, body, flags, "", "", { { 0 } }, 0, { { 0 } }, 0, NULL, { 0 } },
#include "gateway/route.tbl"
#undef ROUTE
};

static void
make_objects(void)
{
    size_t n = 0;

    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].head) {
            objects[n_objects++] = (struct spec_object){ rows[i].field.name, rows[i].open, &fields[n], 0 };
        } else {
            fields[n++] = rows[i].field;
            objects[n_objects - 1].n++;
        }
    }
}

static void
answers_add(struct spec_call *c, int status, const char *type, const char *object)
{
    if (c->n_answers < SPEC_ANSWERS)
        c->answers[c->n_answers++] = (struct spec_answer){ status, type, object };
}

static void
params_add(struct spec_call *c, const char *where, struct spec_field f)
{
    if (c->n_params < SPEC_PARAMS)
        c->params[c->n_params++] = (struct spec_param){ where, f };
}

static void
fill_calls(void)
{
    struct spec_call *c;

#define CALL(id, tag_, takes_, object_, status, type, gives) \
    c = &calls[R_##id]; \
    c->tag = tag_; \
    c->takes = takes_; \
    c->object = object_; \
    answers_add(c, status, type, gives);
#define ALSO(id, status, type, gives) answers_add(&calls[R_##id], status, type, gives);
#define PARAM(id, where, name, type, need, least, most, of, words) \
    params_add(&calls[R_##id], where, (struct spec_field){ name, type, need, least, most, of, words });
#include "gateway/spec/call.tbl"
#undef CALL
#undef ALSO
#undef PARAM
}

/* ---- errors */

static void
add(struct spec_call *c, int status)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_answers; i++)
        if (c->answers[i].status == status)
            return;
    while (c->errors[n])
        n++;
    if (n + 1 < sizeof c->errors / sizeof *c->errors)
        c->errors[n] = status;
}

static void
make_errors(struct spec_call *c)
{
    bool body = c->body > 0, bus = c->who != WHO_PUBLIC || c->arg,
         fields_wrong = body || c->n_params > 0 || c->arg;

    add(c, 400);
    if (c->who != WHO_PUBLIC) {
        add(c, 401);
        add(c, 403);
    }
    if (bus)
        add(c, 404);
    if (body)
        add(c, 408);
    if (body || strcmp(c->method, "POST") == 0) /* the state of the thing does not allow it */
        add(c, 409);
    add(c, 413);
    if (body)
        add(c, 415);
    if (fields_wrong && !(c->flags & OPENAI))
        add(c, 422);
    add(c, 429);
    add(c, 431);
    if (bus) {
        add(c, 500);
        add(c, 501);
        add(c, 502);
    }
    add(c, 503);
    if (bus) {
        add(c, 504);
        add(c, 507);
    }
}

static const char *
arg_of(const char *path)
{
    const char *open = strchr(path, '{');

    return !open                                ? NULL
           : strncmp(open, "{id}", 4) == 0      ? "id"
           : strncmp(open, "{name}", 6) == 0    ? "name"
           : strncmp(open, "{user_id}", 9) == 0 ? "user_id"
                                                : "arg";
}

static void
make(void)
{
    make_objects();
    fill_calls();
    for (size_t i = 0; i < CALLS; i++) {
        calls[i].arg = arg_of(calls[i].path);
        make_errors(&calls[i]);
    }
}

static void
made(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make);
}

const struct spec_object *
spec_objects(size_t *n)
{
    made();
    *n = n_objects;
    return objects;
}

const struct spec_object *
spec_object(const char *name)
{
    made();
    for (size_t i = 0; i < n_objects; i++)
        if (strcmp(objects[i].name, name) == 0)
            return &objects[i];
    return NULL;
}

const struct spec_call *
spec_calls(size_t *n)
{
    made();
    *n = CALLS;
    return calls;
}
