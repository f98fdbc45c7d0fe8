/* footnote report: what the documents lack, as a table: questions that they did not answer, and answers that
 * readers rated badly. */
#include "client/client.h"

static void
put_row(const json_t *g)
{
    printf("%10lld %10lld  %-10.*s  ", (long long)json_int(g, "unanswered", 0),
           (long long)json_int(g, "rated_down", 0),
           (int)(json_str(g, "last_at").n < 10 ? json_str(g, "last_at").n : 10),
           json_str(g, "last_at").p ? json_str(g, "last_at").p : "");
    put_line(stdout, json_str(g, "collection").p ? json_str(g, "collection") : STR("-"));
    fputs("  ", stdout);
    put_line(stdout, json_str(g, "question"));
    if (json_array_size(json_items(g, "wordings")) > 0)
        fputs(" (asked in other words, too)", stdout);
    if (json_str(g, "comment").n > 0) {
        fputs(" — \"", stdout);
        put_line(stdout, json_str(g, "comment"));
        fputc('"', stdout);
    }
    fputc('\n', stdout);
}

static void
put_sum(const json_t *s)
{
    printf("collection ");
    put_line(stdout, json_str(s, "collection").p ? json_str(s, "collection") : STR("-"));
    printf(": %lld questions, %lld times unanswered, %lld answers rated down\n",
           (long long)json_int(s, "questions", 0), (long long)json_int(s, "unanswered", 0),
           (long long)json_int(s, "rated_down", 0));
}

static void
put_report(const json_t *v)
{
    size_t i;
    json_t *o;

    if (json_array_size(json_items(v, "items")) == 0) {
        printf("Every question of the last %lld days was answered, and no answer rated down.\n",
               (long long)json_int(v, "days", 0));
        return;
    }
    printf("%10s %10s  %-10s  %s\n", "unanswered", "rated down", "last", "collection, question");
    json_array_foreach ((json_t *)(uintptr_t)json_items(v, "items"), i, o)
        put_row(o);
    if (json_flag(v, "has_more", false))
        puts("… and more: --limit shows them");
    putchar('\n');
    json_array_foreach ((json_t *)(uintptr_t)json_items(v, "collections"), i, o)
        put_sum(o);
}

int
cmd_report(struct cli *c)
{
    struct buf path = { 0 };
    struct fetch k;
    json_t *v;

    buf_z(&path, "/api/v1/report");
    url_param(&path, "days", str_of(c->opt[CLI_DAYS]));
    url_param(&path, "limit", str_of(c->opt[CLI_LIMIT]));
    if (c->opt[CLI_COLLECTION])
        url_param(&path, "collection", str_of(c->opt[CLI_COLLECTION]));
    fetch_init(&k, c, "GET", path.p, STR_NONE, NULL);
    v = fetch_json(&k, c);
    if (v && !c->opt[CLI_JSON])
        put_report(v);
    json_decref(v);
    fetch_fini(&k);
    buf_free(&path);
    return v ? 0 : 1;
}
