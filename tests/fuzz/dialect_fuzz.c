/* A body of the OpenAI dialect: its messages and options.
 * Properties: what is taken is a question of at most QUESTION_CHARS characters of UTF-8 that is not blank, a
 * history of users and assistants by whole letters, and options that are JSON; what it is searched by is the
 * end of the question; a fault has a pointer. */
#include "common/text/json.h"
#include "gateway/openai/openai.h"
#include "tests/fuzz/fuzz.h"

static void
judge(const struct wish *w)
{
    const struct given *g = &w->given;
    struct str query = ask_query(g->text);

    require(g->text.n > 0 && utf8_valid(g->text) && utf8_count(g->text) <= QUESTION_CHARS && w->first.n > 0);
    require(query.n > 0 && query.n <= g->text.n && utf8_valid(query) && utf8_count(query) <= 500);
    for (size_t i = 0; i < g->earlier.n; i++)
        require(g->earlier.v[i].content.n > 0 && utf8_valid(g->earlier.v[i].content) &&
                (str_is(g->earlier.v[i].role, "user") || str_is(g->earlier.v[i].role, "assistant")));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(8u << 20);
    struct request r = { .arena = a, .id = "fuzz", .dialect = DIALECT_OPENAI };
    enum json_fault fault;
    const char *why;
    struct wish w = {
        .r = &r, .body = json_read_most((struct str){ (const char *)data, size }, BODY_VALUES, &fault, &why)
    };
    struct fault f = { .pointer = "" };

    if (json_is_object(w.body)) {
        if (messages_take(&w, json_object_get(w.body, "messages"), "messages", &f))
            judge(&w);
        else
            require(f.pointer[0] == '/' && f.detail[0]);
        if (options_take(&w, &f) && w.given.options.p) {
            json_t *o = json_read(w.given.options, &fault, &why);

            require(json_is_object(o) && json_object_size(o) > 0);
            json_decref(o);
        }
    }
    json_decref(w.body);
    arena_free(&a);
    return 0;
}
