/* JSON Lines and the records in them.
 * Properties: a line lies within the body, has no line end in it and is not blank; numbers of lines rise; a
 * record that passes has text within its limits, a fault names a member. */
#include "common/text/text.h"
#include "gateway/upload/jsonl.h"
#include "gateway/upload/record.h"
#include "tests/fuzz/fuzz.h"

static void
judge(struct str line, struct arena *a)
{
    struct document_put_req req = { .body = STR_NONE };
    struct fault f = { .pointer = "" };
    json_t *o = NULL;

    if (record_line(line, a, &o, &req, &f)) {
        require(o && req.body.n > 0 && utf8_valid(req.body) && !memchr(req.body.p, 0, req.body.n) &&
                req.mime.n > 0);
        require(utf8_count(req.external_id) <= RECORD_ID_CHARS && utf8_valid(req.external_id));
    } else {
        require(f.detail[0] != 0);
    }
    json_decref(o);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str body = { exact((struct str){ (const char *)data, n }), n }, line;
    struct jsonl j = { body, 0 };
    char *memory = (char *)(uintptr_t)body.p;
    size_t last = 0, lines = 0;

    while (jsonl_next(&j, &line)) {
        require(inside(line, body) && line.n > 0 && !memchr(line.p, '\n', line.n) && j.line > last);
        last = j.line;
        if (++lines <= 8) {
            struct arena *a = arena_new(1u << 20);

            judge(line, a);
            arena_free(&a);
        }
    }
    require(j.left.n == 0);
    {
        struct arena *a = arena_new(1u << 20);
        struct str path = record_path(body, a);

        require(path.n <= body.n &&
                (path.n == 0 || (path.p[0] != '/' && !memmem(path.p, path.n, "/../", 4))));
        require(inside(record_basename(body), body));
        arena_free(&a);
    }
    mem_free(&memory);
    return 0;
}
