/* The metrics that footnote doctor reads, which may be anybody's page: its findings are JSON, and there is always one. */
#include "client/admin/admin.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str page = { (const char *)data, size };
    struct cli c = { 0 };
    struct doctor d = { .cli = &c, .version = "1.0" };
    struct buf all = { 0 };
    enum json_fault fault;
    const char *detail;
    json_t *v;

    c.opt[CLI_JSON] = "on";
    gauge_page(&d, "here:1", page);
    require(d.n[GRADE_OK] <= 1);
    require(d.n[GRADE_OK] + d.n[GRADE_NOTE] + d.n[GRADE_WARN] + d.n[GRADE_FAIL] > 0);
    buf_printf(&all, "[" STR_FMT "]", STR_ARG(buf_slice(&d.json)));
    v = json_read(buf_slice(&all), &fault, &detail);
    require(v && json_array_size(v) == d.n[GRADE_OK] + d.n[GRADE_NOTE] + d.n[GRADE_WARN] + d.n[GRADE_FAIL]);
    json_decref(v);
    buf_free(&all);
    buf_free(&d.json);
    return 0;
}
