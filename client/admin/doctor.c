/* footnote doctor: is everything as it must be, and what is to be done where it is not? Each finding is said as it is
 * found, since a look at what is broken may take its time. Ends with 1 when something failed; warnings alone are no
 * failure. */
#include "client/admin/admin.h"

#include <stdarg.h>

static const char *const grade_names[GRADES] = { "ok", "note", "warn", "fail" };

static void
add_json(struct doctor *d, enum grade grade, const char *check, const char *advice, struct str said)
{
    buf_z(&d->json, d->json.n > 0 ? ",{" : "{");
    buf_key_str(&d->json, "check", str_of(check));
    buf_key_str(&d->json, "grade", str_of(grade_names[grade]));
    buf_key_str(&d->json, "finding", said);
    buf_key_str(&d->json, "advice", advice ? str_of(advice) : STR_NONE);
    buf_c(&d->json, '}');
}

void
doctor_found(struct doctor *d, enum grade grade, const char *check, const char *advice, const char *fmt, ...)
{
    struct buf said = { 0 };
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(&said, fmt, ap);
    va_end(ap);
    d->n[grade]++;
    if (d->cli->opt[CLI_JSON]) {
        add_json(d, grade, check, advice, buf_slice(&said));
    } else {
        printf("%-5s ", grade_names[grade]);
        put_line(stdout, str_of(check)); /* the gateway's word for a service */
        printf("%*s", strlen(check) < 10 ? 11 - (int)strlen(check) : 1, "");
        put_line(stdout, buf_slice(&said));
        putchar('\n');
        if (advice)
            printf("%16s → %s\n", "", advice);
        fflush(stdout);
    }
    buf_free(&said);
}

static void
sum(const struct doctor *d)
{
    const char *status = d->n[GRADE_FAIL] > 0 ? "fail" : d->n[GRADE_WARN] > 0 ? "warn" : "ok";

    if (d->cli->opt[CLI_JSON])
        printf("{\"status\":\"%s\",\"checks\":[" STR_FMT "]}\n", status, STR_ARG(buf_slice(&d->json)));
    else if (d->n[GRADE_FAIL] + d->n[GRADE_WARN] == 0)
        puts("\nAll is well.");
    else
        printf("\n%zu failed, %zu to be looked at.\n", d->n[GRADE_FAIL], d->n[GRADE_WARN]);
}

int
cmd_doctor(struct cli *c)
{
    struct doctor d = { .cli = c };

    examine_api(&d);
    if (c->opt[CLI_METRICS])
        gauge_all(&d, c->opt[CLI_METRICS]);
    sum(&d);
    buf_free(&d.json);
    return d.n[GRADE_FAIL] > 0 ? 1 : 0;
}
