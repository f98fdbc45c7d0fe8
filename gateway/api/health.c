/* /healthz, /readyz and /health: what the last probe saw (watch/health.c). */
#include "common/process/proc.h"
#include "gateway/api/api.h"
#include "gateway/watch/health.h"

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

static void
put_services(const struct look *l, struct buf *out)
{
    buf_key(out, "services");
    buf_c(out, '{');
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        buf_key(out, service_names[i]);
        buf_c(out, '{');
        buf_key_str(out, "status", str_of(l->bus.service[i].workers <= 0 ? "down" : l->bus.service[i].capacity <= 0 ? "starting" : "ok"));
        buf_key_int(out, "workers", l->bus.service[i].workers);
        buf_key_int(out, "capacity", l->bus.service[i].capacity);
        buf_key_int(out, "outstanding", l->bus.service[i].outstanding);
        buf_key_int(out, "queued", l->bus.service[i].queued);
        buf_c(out, '}');
    }
    buf_key(out, "postgres");
    buf_z(out, l->postgres ? "{\"status\":\"ok\"}" : "{\"status\":\"down\"}");
    buf_key(out, "redis");
    buf_z(out, l->cache && l->state ? "{\"status\":\"ok\"}" : "{\"status\":\"down\"}");
    buf_c(out, '}');
}

void
route_health(struct request *r)
{
    struct look l = health_look(r->gw->health);
    struct buf reasons = BUF_MAX(1024), out = BUF_MAX(16384);
    bool ready = health_ready_by(r->gw, &l, &reasons);
    bool whole = l.cache && l.state && l.bus.service[SERVICE_JANITOR].workers > 0;

    buf_c(&out, '{');
    buf_key_str(&out, "status", str_of(!ready ? "down" : whole ? "ok" : "degraded"));
    buf_key_str(&out, "version", str_of(footnote_version));
    buf_key_str(&out, "build", str_of(footnote_build));
    put_services(&l, &out);
    buf_c(&out, '}');
    reply_json(r, 200, buf_slice(&out));
    buf_free(&reasons);
    buf_free(&out);
}
