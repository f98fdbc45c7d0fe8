/* footnote status: the services, as the gateway sees them; with --watch again and again. */
#include "client/admin/admin.h"

#include <time.h>
#include <unistd.h>

#define EVERY_S 2

static void
add_row(struct grid *g, const char *name, const json_t *o)
{
    static const char *const counts[] = { "workers", "capacity", "outstanding", "queued" };

    grid_cell(g, str_of(name));
    grid_cell(g, json_str(o, "status"));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (json_object_get(o, counts[i]))
            grid_number(g, json_int(o, counts[i], 0));
        else
            grid_cell(g, STR(""));
}

/* A line of health about one thing that is missing; mostly there is none. */
static void
put_reason(const json_t *v, const char *key)
{
    if (json_str(v, key).n == 0)
        return;
    printf("\n%s: ", key);
    put_line(stdout, json_str(v, key));
    putchar('\n');
}

static void
show(const struct cli *c, const json_t *v)
{
    static const char *const heads[] = { "SERVICE", "STATE", "WORKERS", "AT ONCE", "AT WORK", "WAITING" };
    struct grid g;
    const char *name;
    json_t *o;

    put_health(c, v);
    putchar('\n');
    grid_init(&g, heads, sizeof heads / sizeof *heads);
    json_object_foreach (json_object_get(v, "services"), name, o)
        add_row(&g, name, o);
    grid_print(&g);
    put_reason(v, "embedding");
    put_reason(v, "search");
}

/* True: questions are answered. */
static bool
look(struct cli *c)
{
    struct fetch k;
    json_t *v;
    bool ok;

    fetch_init(&k, c, "GET", "/api/v1/health", STR_NONE, NULL);
    v = fetch_json(&k, c);
    if (v && !c->opt[CLI_JSON])
        show(c, v);
    ok = str_is(json_str(v, "status"), "ok") || str_is(json_str(v, "status"), "degraded");
    json_decref(v);
    fetch_fini(&k);
    return ok;
}

int
cmd_status(struct cli *c)
{
    bool redraw = c->opt[CLI_WATCH] && !c->opt[CLI_JSON] && isatty(STDOUT_FILENO);
    bool ok;

    for (;;) {
        if (redraw)
            fputs("\x1B[H\x1B[2J", stdout);
        ok = look(c);
        if (!c->opt[CLI_WATCH] || fflush(stdout) != 0)
            return ok ? 0 : 1;
        nanosleep(&(struct timespec){ .tv_sec = EVERY_S }, NULL);
        if (!redraw && !c->opt[CLI_JSON])
            putchar('\n');
    }
}
