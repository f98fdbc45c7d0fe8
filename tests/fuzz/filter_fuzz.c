/* Filters of a search: the filter up to a NUL, behind it the metadata of a passage.
 * Properties: a refusal says why; a filter gives the same verdict twice; an empty one lets everything through. */
#include "common/text/json.h"
#include "retriever/filter.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str in = { (const char *)data, n }, text = take_until(&in, 0), json = { exact(text), text.n };
    char *memory = (char *)(uintptr_t)json.p;
    enum json_fault fault;
    const char *detail, *why = NULL;
    json_t *metadata = json_read(in, &fault, &detail);
    struct filter_view v = { json_is_object(metadata) ? metadata : NULL,
                             STR("0192-id"),
                             STR("guide"),
                             STR("Title"),
                             STR("https://x/"),
                             STR("Ch"),
                             STR("Sec") };
    struct filter *f = filter_new(json, &why);

    if (f) {
        bool passes = filter_document(f, &v) && filter_chunk(f, &v);

        require(passes == (filter_document(f, &v) && filter_chunk(f, &v)));
        require(json.n > 0 || passes);
        require(filter_has_chunk(f) || filter_chunk(f, &v));
    } else {
        require(why && *why);
    }
    filter_free(&f);
    json_decref(metadata);
    mem_free(&memory);
    return 0;
}
