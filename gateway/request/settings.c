/* The settings that API handlers need from struct gateway (handler.h). */
#include "gateway/request/handler.h"
#include "common/clock.h"
#include "gateway/gateway.h"
#include "gateway/request/problem.h"
#include "gateway/request/viewer.h"

#define DAY 86400

struct hub *
api_hub(const struct request *r)
{
    return r->gw->hub;
}

struct str
api_secret(const struct request *r)
{
    const char *z = r->gw->opt->deployment_secret;

    return str_of(z ? z : "");
}

bool
api_save_hits(const struct request *r)
{
    return r->gw->opt->save_cache_hits;
}

struct str
api_cache_scope(const struct request *r)
{
    return str_of(r->gw->opt->query_cache_scope);
}

int64_t
api_stream_ms(const struct request *r)
{
    return r->gw->opt->stream_timeout * 1000L;
}

int64_t
api_expiry_days(const struct request *r)
{
    return r->gw->opt->session_expiry_days;
}

struct str
api_link_hosts(const struct request *r)
{
    const struct gateway_opt *o = r->gw->opt;

    return str_of(arena_printf(r->arena, "%s %s", o->public_url, o->answer_link_hosts));
}

void
answer_rules(const struct request *r, struct link_rules *rules)
{
    *rules = (struct link_rules){ .hosts = &r->gw->strangers.answer_hosts,
                                  .public_url = r->gw->opt->public_url };
}

bool
api_gone(const struct request *r)
{
    return request_gone(r);
}

void
api_usual_rates(const struct request *r, int64_t *minute, int64_t *hour)
{
    const struct gateway_opt *o = r->gw->opt;

    *minute = o->rate_addr; /* as admit.c's of a key that administers */
    *hour = o->rate_addr * 60;
}

void
api_problem(struct request *r, enum err e, const char *detail, struct buf *b)
{
    problem_json(r, e, detail, NULL, b);
}

/* Whole days, so that a link stays the same for a while; it is longer good than a cached answer that has it. */
struct viewer
viewer_of(const struct request *r, const uint8_t session[32])
{
    int64_t today = clock_wall_ms() / 1000 / DAY;

    return (struct viewer){ .session = session,
                            .base = r->gw->opt->public_url ? r->gw->opt->public_url : "",
                            .until = (today + 8) * DAY + r->gw->opt->query_cache_ttl,
                            .kind = r->who.anonymous ? 'c' : 'd' };
}
