/* The settings that API handlers need from struct gateway (handler.h). */
#include "gateway/request/handler.h"
#include "gateway/gateway.h"
#include "gateway/request/problem.h"

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
    *rules = (struct link_rules){ .hosts = &r->gw->strangers.answer_hosts, .public_url = r->gw->opt->public_url };
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
