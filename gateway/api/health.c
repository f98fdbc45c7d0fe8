/* /healthz, /readyz and /health: what the last probe saw (watch/health.c). */
#include "common/process/proc.h"
#include "gateway/api/api.h"
#include "gateway/api/services.h"
#include "gateway/ask/embed.h"
#include "gateway/watch/fallback.h"

void
route_healthz(struct request *r)
{
    reply_json(r, 200, STR("{\"status\":\"ok\"}"));
}

void
route_readyz(struct request *r)
{
    struct look l = health_look(r->gw->health);
    struct buf reasons = BUF_MAX(1024), out = BUF_MAX(4096);
    bool ready = health_ready_by(r->gw, &l, &reasons);

    buf_c(&out, '{');
    buf_key_str(&out, "status", str_of(ready ? "ready" : "not_ready"));
    buf_key_str(&out, "missing", buf_slice(&reasons));
    buf_key_str(&out, "redis", str_of(l.cache && l.state ? "ok" : "degraded"));
    buf_c(&out, '}');
    reply_json(r, ready ? 200 : 503, buf_slice(&out));
    buf_free(&reasons);
    buf_free(&out);
}

const char *
services_status(const struct look *l, bool ready)
{
    bool whole = l->cache && l->state && l->bus.service[SERVICE_JANITOR].workers > 0 && !embed_model_away() &&
                 !fallback_on();

    return !ready ? "down" : whole ? "ok" : "degraded";
}

/* Only when there is one. */
static void
put_model_away(struct buf *out)
{
    if (embed_model_away())
        buf_key_str(
            out, "embedding",
            STR("degraded: the model of a collection's vectors cannot be asked, so that its questions are searched by words only "
                "until the vectors are of the model that is there"));
}

/* The same. */
static void
put_engine_away(struct buf *out)
{
    if (fallback_on())
        buf_key_str(
            out, "search",
            STR("degraded: the search engine does not answer, so that questions are searched by words only, in the database"));
}

void
services_put(const struct look *l, struct buf *out)
{
    buf_key(out, "services");
    buf_c(out, '{');
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        if (i == SERVICE_RERANK && !l->bus.service[i].ever)
            continue; /* optional: nobody misses what was never there */
        buf_key(out, service_names[i]);
        buf_c(out, '{');
        buf_key_str(out, "status",
                    str_of(l->bus.service[i].workers <= 0    ? "down"
                           : l->bus.service[i].capacity <= 0 ? "starting"
                                                             : "ok"));
        buf_key_int(out, "workers", l->bus.service[i].workers);
        buf_key_int(out, "capacity", l->bus.service[i].capacity);
        buf_key_int(out, "outstanding", l->bus.service[i].outstanding);
        buf_key_int(out, "queued", l->bus.service[i].queued);
        buf_c(out, '}');
    }
    buf_key(out, "postgres");
    buf_c(out, '{');
    buf_key_str(out, "status", str_of(health_postgres(l)));
    buf_c(out, '}');
    buf_key(out, "redis");
    buf_z(out, l->cache && l->state ? "{\"status\":\"ok\"}" : "{\"status\":\"down\"}");
    buf_c(out, '}');
    put_model_away(out);
    put_engine_away(out);
}

void
route_health(struct request *r)
{
    struct look l = health_look(r->gw->health);
    struct buf reasons = BUF_MAX(1024), out = BUF_MAX(16384);
    bool ready = health_ready_by(r->gw, &l, &reasons);

    buf_c(&out, '{');
    buf_key_str(&out, "status", str_of(services_status(&l, ready)));
    buf_key_str(&out, "version", str_of(footnote_version));
    buf_key_str(&out, "build", str_of(footnote_build));
    services_put(&l, &out);
    buf_c(&out, '}');
    reply_json(r, 200, buf_slice(&out));
    buf_free(&reasons);
    buf_free(&out);
}
