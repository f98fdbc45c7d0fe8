/* A multipart body: the first line is its Content-Type, the rest the body.
 * Properties: every part lies within the body, parts follow each other, there are never more than the
 * maximum, a refusal says why, and what the parts hold was written between the boundaries only. */
#include "gateway/upload/multipart.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str in = { (const char *)data, n }, type = take_until(&in, '\n'), boundary,
               body = { exact(in), in.n };
    struct arena *a = arena_new(1u << 22);
    struct multipart m;
    char *memory = (char *)(uintptr_t)body.p;
    const char *at = body.p;

    if (multipart_boundary(type, &boundary)) {
        require(boundary.n >= 1 && boundary.n <= 70 && inside(boundary, type));
        if (!multipart_init(&m, body, boundary)) {
            require(m.fault != NULL);
        } else {
            struct part p;
            enum multipart_step s;

            while ((s = multipart_next(&m, a, &p)) == MULTIPART_PART) {
                require(m.parts <= MULTIPART_PARTS && inside(p.body, body) && inside(p.name, body) &&
                        inside(p.type, body));
                require(p.body.p >= at &&
                        (p.body.n == 0 || !memmem(p.body.p, p.body.n, m.delimiter, m.delimiter_n)));
                at = p.body.p + p.body.n;
            }
            require(s == MULTIPART_END || (m.fault && *m.fault));
        }
    }
    mem_free(&memory);
    arena_free(&a);
    return 0;
}
