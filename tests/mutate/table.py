"""The seeded faults of mutate.py. M(name, file, snippet, what stands there instead, the promise it breaks, tests…).

A test is "unit PART/NAME" or "py FILE [-- pytest options]"; the cheapest that ought to notice comes first. Snippets are as short as
they can be and still stand once in their file: the less of a line they hold, the fewer changes make them stale.
"""
from collections import namedtuple

Mutation = namedtuple("Mutation", "name file old new promise tests")
MUTATIONS = []


def M(name, file, old, new, promise, *tests):
    MUTATIONS.append(Mutation(name, file, old, new, promise, tests))


def e2e(name, words):
    return f"py tests/e2e/test_{name}.py -- -k '{words}'"


TENANTS, EDGE, GATEWAY = "py tests/e2e/test_tenants.py", "py tests/e2e/test_edge.py", "py tests/service/gateway_edge_test.py"

# ---- who may what
M("auth_expired_keys", "gateway/admit/auth.c", "(k->expires_ms == 0 || k->expires_ms > clock_wall_ms())", "true", "an expired key is refused, also while the store is away", e2e("tenants", "expired_key"))
M("auth_scope_ingest", "gateway/admit/auth.c", "[WHO_INGEST] = SCOPE_INGEST", "[WHO_INGEST] = SCOPE_CHAT", "a chat key adds no documents", e2e("tenants", "scopes"))
M("auth_scope_admin", "gateway/admit/auth.c", "[WHO_ADMIN] = SCOPE_ADMIN", "[WHO_ADMIN] = SCOPE_CHAT", "a chat key makes no keys", e2e("tenants", "scopes"))
M("auth_origin_of_key", "gateway/admit/auth.c", "k->origins.n > 0 && !origin_listed(r, &k->origins)", "k->origins.n > 1000 && !origin_listed(r, &k->origins)", "a publishable key works from its origins only",
  e2e("tenants", "publishable"))
M("auth_key_in_url", "gateway/admit/auth.c", "if (key_in_url(r))", "if (key_in_url(r) && key.p == NULL && key.n == 7)", "a key in a URL is refused", e2e("tenants", "url"))
M("auth_anonymous_route", "gateway/admit/auth.c", "if (r->route->who != WHO_SESSION || !r->gw->opt->anonymous_chat)", "if (!r->gw->opt->anonymous_chat)", "without a key only what belongs to a session is open",
  e2e("tenants", "needs_a_key"))
M("auth_host_when_off", "gateway/admit/auth.c", "if (!host_loopback(host) && !host_of_url(host, r->gw->opt->public_url))", "if (host == NULL)", "AUTH=off answers to loopback names only", e2e("edge", "foreign_origins"))
M("auth_ten_failures", "gateway/admit/auth.c", "if (limiter_take(r->gw->limiter, id, &p, 1, true))", "if (limiter_take(r->gw->limiter, id, &p, 100, true))", "ten failed keys a minute of one address",
  e2e("tenants", "more_than_ten"))
M("auth_collection_of_key", "gateway/admit/auth.c", "if (str_eq(k->collections.v[i], name))", "if (str_eq(k->collections.v[i], name) || name.n)", "a key of one collection sees no other", e2e("tenants", "limited_to_a_collection"))
M("auth_collections_anonymous", "gateway/admit/auth.c", "return names_have(&r->gw->strangers.collections, name);", "return name.n > 0;", "without a key only the listed collections", TENANTS + " -- -k anonymous", "unit gateway/feed_test", GATEWAY)
M("origin_prefix", "gateway/edge/origin.c", "if (strcmp(o->v[i], origin) == 0)", "if (strncmp(o->v[i], origin, strlen(o->v[i])) == 0)", "an origin is allowed exactly or not at all", "unit gateway/edge_test")
M("origin_loopback", "gateway/edge/origin.c", "(ntohl(a.s_addr) >> 24) == 127", "(ntohl(a.s_addr) >> 24) >= 10", "only 127.0.0.0/8 is loopback", "unit gateway/edge_test")
M("origin_cidr_bytes", "gateway/edge/origin.c", "return rest == 0 || ((c->a[whole] ^ a[whole]) >> (8 - rest)) == 0;", "return rest < 9;", "a block ends at its last bit", "unit gateway/edge_test")
M("origin_trusts_anybody", "gateway/edge/origin.c", "while (cidrs_cover(trusted, a) && list_pop", "while (trusted != NULL && list_pop", "X-Forwarded-For counts from trusted proxies only", "unit gateway/edge_test")
M("origin_ipv6_whole", "gateway/edge/origin.c", "memset(a + 8, 0, 8);", "memset(a + 15, 0, 1);", "IPv6 addresses count by their /64", "unit gateway/edge_test")
M("origin_forwarded_cut", "gateway/serve.c", "struct buf forwarded = BUF_MAX(65536);", "struct buf forwarded = BUF_MAX(4096);", "what a client puts before the proxy's entry does not push it out", GATEWAY + " -- -k entry_of_the_proxy")
M("path_encoded_slash", "gateway/edge/path.c", "if (c < 0 || c == '/' || c == '\\\\')", "if (c < 0 || c == '\\\\')", "an encoded slash is refused", "unit gateway/path_test")
M("path_dot_dot", "gateway/edge/path.c", "(n == 2 && p[1] == '.' && p[2] == '.')", "(n == 3 && p[1] == '.' && p[2] == '.')", "no .. in a path", "unit gateway/path_test")
M("path_request_id", "gateway/edge/path.c", '!strchr("._-", s[n])', '!strchr("._- <>", s[n])', "a request id is echoed only when it is harmless", "unit gateway/path_test")

# ---- whose rows
M("sql_feedback_session", "store/sql/conversation.sql", """  AND c.id = m.conversation_id
  AND c.tenant = $1::text
  AND c.user_session_id = $2::uuid;""", """  AND c.id = m.conversation_id
  AND c.tenant = $1::text
  AND $2::uuid IS NOT NULL;""", "feedback on one's own answers only", "py tests/service/store_tenancy.py", "py tests/service/store_turns.py")
M("sql_conversation_session", "store/sql/conversation.sql", "DELETE FROM conversations WHERE id = $3::uuid AND tenant = $1::text AND user_session_id = $2::uuid", "DELETE FROM conversations WHERE id = $3::uuid AND tenant = $1::text AND $2::uuid IS NOT NULL",
  "a conversation is deleted by its session only", "py tests/service/store_tenancy.py", "py tests/service/store_turns.py")
M("sql_session_tenant", "store/sql/session.sql", "DELETE FROM user_sessions WHERE session_id = $2::bytea AND tenant = $1::text;", "DELETE FROM user_sessions WHERE session_id = $2::bytea AND $1::text IS NOT NULL;",
  "erasing reaches one's own tenant only", "py tests/service/store_tenancy.py")
M("sql_documents_tenant", "store/sql/document.sql", "WHERE d.tenant = $1::text\n  AND ($2::text[] IS NULL", "WHERE $1::text IS NOT NULL\n  AND ($2::text[] IS NULL", "documents of one's own tenant only", "py tests/service/store_tenancy.py")
M("sql_session_expired", "store/sql/session.sql", "WHERE s.session_id = $2::bytea AND s.tenant = $1::text AND s.expires_at > now()", "WHERE s.session_id = $2::bytea AND s.tenant = $1::text AND s.expires_at IS NOT NULL",
  "an expired session is not there", "py tests/service/store_turns.py", "py tests/service/store_catalog.py", "py tests/service/store_tenancy.py", "py tests/service/store_erasure.py")
M("sql_idempotency_holder", "store/sql/idem.sql", "WHERE tenant = $1::text AND scope = $2::text AND key = $3::text AND holder = $4::uuid;", "WHERE tenant = $1::text AND scope = $2::text AND key = $3::text AND $4::uuid IS NOT NULL;",
  "only who holds a key stores its answer", "py tests/service/store_turns.py", "py tests/service/store_faults.py", e2e("idempotency", "runs"))

# ---- caches
M("cache_key_session", "gateway/ask/parse.c", "ask_probe_name(q, q->text, (struct str){ (const char *)q->session_hash, 32 }, &q->probe);", 'ask_probe_name(q, q->text, STR(""), &q->probe);', "one session never gets another's cached answer", "unit gateway/ask_cache_test")
M("cache_key_filter", "gateway/ask/parse.c", "add_part(in, q->filter);", "", "the filter is part of the cache key", "unit gateway/ask_cache_test")
M("cache_key_tenant", "gateway/ask/parse.c", "add_part(in, str_of(q->r->who.tenant));", "", "the tenant is part of the cache key", "unit gateway/ask_cache_test")
M("cache_key_selection", "gateway/ask/parse.c", "add_part(in, q->selection);", "", "the selected text is part of the cache key", "unit gateway/ask_cache_test")
M("cache_epoch", "gateway/admit/admit.c", "elseif value:sub(1, 44) == head then", "elseif value:sub(1, 36) == head:sub(1, 36) then", "a change of the collection makes old answers misses", "unit gateway/admit_test")
M("cache_collision", "gateway/admit/admit.c", "elseif value:sub(1, 44) == head then", "elseif value:sub(37, 44) == head:sub(37, 44) then", "two questions of one MD5 get two answers", "unit gateway/admit_test")
M("cache_stale_index", "gateway/ask/run.c", "q->found->seq >= q->probe.epoch", "q->found->seq >= 0", "what an index behind the epoch found is not cached", "unit gateway/ask_cache_test")
M("cache_ungrounded", "gateway/ask/run.c", "q->probe.key[0] && q->grounded &&", "q->probe.key[0] &&", "only grounded answers are cached", "unit gateway/ask_cache_test")
M("cache_erasure", "gateway/admit/erased.c", "for _, key in ipairs(answers) do redis.call('DEL', key) end", "", "erasing a session erases its cached answers", "unit gateway/admit_test")
M("near_race", "gateway/admit/near.c", "v[i].mark == mark && v[i].heard_ms >= since_ms", "v[i].mark == mark && v[i].heard_ms < since_ms", "an answer that was read before its session was erased is not kept near", "unit gateway/near_test")
M("near_silence", "gateway/admit/near.c", "now_ms - heard < FRESH_MS &&", "", "near answers need news of erasures", "unit gateway/near_test")
M("near_bytes", "gateway/admit/near.c", "while (n->bytes + bytes > n->max)", "while (n->bytes > n->max)", "the near cache is bounded to the byte", "unit gateway/near_test")
M("cache_embedding_md5", "embedder/embed_cache.c", "if (!bytes_equal(v.p + 8, sha, 32))", "if (sha == NULL)", "two texts of one MD5 get two vectors", "unit embedder/cache")

# ---- citations
M("cite_denials", "cite/cite_evidence.c", "return said->negated == there.negated;", "return true;", "a denial does not support its opposite", "unit cite/cite_test")
M("cite_numbers", "cite/cite_evidence.c", "found = found || there.number[k] == said->number[i];", "found = true;", "numbers must agree", "unit cite/cite_test")
M("cite_offsets", "cite/cite.c", ".start = h->start + (int64_t)x.start,", ".start = (int64_t)x.start,", "start and end point into the document", "unit cite/cite_test")
M("cite_excerpt_length", "cite/cite.c", "while (i < x.end && chars < CITE_EXCERPT_CHARS) {", "while (i < x.end && chars < 2 * CITE_EXCERPT_CHARS) {", "an excerpt has at most 300 characters", "unit cite/cite_test")
M("cite_refusals", "cite/cite.c", ".hits = req->refused ? 0 : req->hits.n,", ".hits = req->hits.n,", "a refusal cites nothing", "unit cite/cite_test")
M("cite_two_sources", "cite/cite_evidence.c", "best.overlap - next >= UNMARKED_LEAD", "best.overlap >= next", "what two passages say alike gets no mark by guess", "unit cite/cite_test")
M("cite_garbled_hits", "cite/cite.c", "h->end - h->start == (int64_t)h->text.n && ", "", "a passage whose offsets do not fit is not cited", "unit cite/cite_test")

# ---- the pool
M("pool_size", "store/pool/pool.c", "total(p) < p->cfg.size + p->cfg.overflow", "total(p) <= p->cfg.size + p->cfg.overflow", "never more connections than allowed", "unit store/pool")
M("pool_generation", "store/pool/pool.c", "    p->generation++;\n    for (; c; c = next)", "    for (; c; c = next)", "a loss invalidates connections at work too", "unit store/pool")
M("pool_queue_bound", "store/pool/pool.c", "pool_waiting(p) >= WAIT_MAX", "pool_waiting(p) >= 100 * WAIT_MAX", "the queue of waiters is bounded", "unit store/pool_loss")
M("pool_busy_or_down", "store/pool/pool.c", "pool_established(p) > 0 && !p->down ? ERR_STORE_BUSY : ERR_STORE_DOWN", "ERR_STORE_DOWN", "a full pool is busy, not down", "unit store/pool")
M("pool_fair", "store/pool/pool.c", "if (front || lanes_take(&p->lanes, t))\n        tx_list_add(&p->waiters, t, front);", "if (front || lanes_take(&p->lanes, t))\n        tx_list_add(&p->waiters, t, true);",
  "first come, first served", "unit store/pool")

# ---- limits
M("limit_one_more", "gateway/admit/limit.c", "p->limited = next - tau > now_us;", "p->limited = next - tau > now_us + step;", "exactly the quota passes at once", "unit gateway/limit_test")
M("limit_clock_back", "gateway/admit/limit.c", "    if (tat > now_us + tau)\n        tat = now_us + tau;", "", "a clock that went back punishes for one full bucket at most", "unit gateway/limit_test")
M("limit_advance", "gateway/admit/advance.c", "local base, least = tat, now + keep + others * step", "local base, least = tat, now", "tokens that are spent later than they were charged exceed no limit", "unit gateway/advance_test")
M("limit_advance_back", "gateway/admit/advance.c", "if not mine then back = 0 end", "", "a Redis that lost its data takes no tokens back", "unit gateway/advance_test")
M("limit_key_leaves", "gateway/admit/limit.c", "            l->running[i] = 0;\n            break;", "            break;", "a key's places are given back", "unit gateway/limit_test")
M("limit_script_clock", "gateway/admit/admit.c", "    redis.pcall('SET', KEYS[i], tat, 'PX', math.ceil(tau / 1000) + 1)\\n", "", "Redis's clock that went back punishes nobody for long", "unit gateway/admit_test")
M("limit_script_one_more", "gateway/admit/admit.c", "tat + ARGV[2 * i] - tau > now then", "tat - tau > now then", "exactly the quota passes at once, in Redis", "unit gateway/admit_test")
M("limit_body_chunked", "gateway/request/body.c", "    if (c->body.n > limit)\n        return too_large(r);\n", "", "a chunked body is counted while it is read", GATEWAY + " -- -k 'chunked_body_is_counted'")
M("limit_body_length", "gateway/request/body.c", "limit == 0 || c->frame.length > (int64_t)limit", "limit == 0", "a body over its limit is refused before it is read", GATEWAY + " -- -k 'over_its_limit or too_large'")
M("limit_json_depth", "common/text/json.c", "#define MAX_DEPTH 32", "#define MAX_DEPTH 33", "JSON is at most 32 deep", "unit common/json_test")

# ---- idempotency
M("idem_body", "gateway/admit/idempotency.c", "                                 r->body };", "                                 r->path };", "another body with the same key is refused", e2e("idempotency", "another_request_with"))
M("idem_conflict_stored", "gateway/admit/idempotency.c", "status != 408 && status != 409 &&", "status != 408 &&", "what may go well the next time is not stored", "unit gateway/ask_idem_test")
M("idem_shared_page", "gateway/admit/idempotency.c", "(!k || k->origins.n == 0)", "(!k || k->origins.n < 1000)", "visitors of one page do not share a key", "unit gateway/ask_idem_test", e2e("idempotency", "publishable"))

M("semantic_gate", "gateway/ask/semantic.c", "return fate == ALIKE_SAME;", "return fate != ALIKE_LANGUAGE;", "a like vector is no near question", "unit gateway/ask_semantic_test")
M("semantic_key", "gateway/ask/semantic.c", "if (strcmp(probe->key, near->key) != 0 || cache_judge(probe, value) != CACHE_HIT)", "if (false && near)", "a record that leads to another kind of question leads to nothing", "unit gateway/ask_semantic_test")
M("semantic_moved", "text/alike.c", "if (!may_turn(a, b, &v[i], &v[j]))", "if (!may_turn(a, b, &v[i], &v[j]) && a->n == 0)", "PDF to HTML is not HTML to PDF", "unit text/alike_test")

# ---- the bus and its hub
M("bus_frame_count", "proto/zsock.c", "out->cmd < CMD_COUNT && has_payload(out->cmd) != (out->payload != NULL)", "out->cmd == CMD_COUNT + 77", "a message without one of its frames reaches no decoder", "unit proto/zsock_test")
M("hub_poison", "gateway/hub/blame.c", "if (r->n_strikes < 2)\n        request_move(c, now, r, !a", "if (r->n_strikes < 3)\n        request_move(c, now, r, !a", "a request that killed two workers goes to no third", "unit gateway/hub_loss_test")
M("hub_pardon", "gateway/hub/blame.c", "if (!r->strike[k].firm && memcmp(", "if (false && memcmp(", "a worker that comes back did not die of a request", "unit gateway/hub_loss_test")
M("hub_life", "gateway/hub/blame.c", " && memcmp(s->life, w->life, sizeof s->life) != 0)", ")", "one worker is one strike", "unit gateway/hub_loss_test")
M("hub_moves", "gateway/hub/blame.c", "if (r->moves > MOVES_MAX)", "if (r->moves > 100)", "a request outlives four lost workers", "unit gateway/hub_loss_test")
M("hub_offers", "gateway/hub/worker.c", "if (id >= 0 && !(services >> id & 1))", "if (id >= 0 && services == 0)", "a key offers only what it is listed for", "unit gateway/hub_core_test", "unit gateway/hub_loss_test", "unit gateway/hub_test")
M("hub_credit", "gateway/hub/worker.c", "if (s->outstanding >= s->capacity)", "if (s->outstanding > s->capacity)", "a worker never has more than its capacity", "unit gateway/hub_core_test", "unit gateway/hub_test")
M("hub_foreign", "gateway/hub/worker.c", "        if (a->worker == w)\n            return a;", "        if (a->worker)\n            return a;", "a worker answers only its own calls", "unit gateway/hub_loss_test", "unit gateway/hub_core_test", "unit gateway/hub_test")
M("hub_banned", "gateway/hub/blame.c", "c->bans[i].identity == identity && now < c->bans[i].until_ms", "c->bans[i].identity == identity && now < c->bans[i].since_ms", "a banned key stays out for a minute", "unit gateway/hub_loss_test", "unit gateway/hub_test")
M("hub_after_a_part", "gateway/hub/core.c", "if (r->parted || r->counted >= kinds[r->kind].attempts", "if (r->counted >= kinds[r->kind].attempts", "no second attempt after the first part", "unit gateway/hub_loss_test", "unit gateway/hub_core_test")
M("hub_queue_bound", "gateway/hub/core.c", "queue_beside(&q->waiting, r) >= most", "queue_beside(&q->waiting, r) >= 1000 * most", "a queue is bounded", "unit gateway/hub_core_test", "unit gateway/hub_test")
M("hub_fairness", "gateway/hub/queue.c", "    else\n        l->last = t;", "", "tenants take turns", "unit gateway/hub_core_test", "unit gateway/hub_test")
M("hub_zap_any_key", "gateway/hub/zap.c", "if (bytes_equal(z->list[i].key.b, key, 32))", "if (bytes_equal(z->list[i].key.b, key, 32) || key != NULL)", "only listed keys get in", "py tests/service/bus_curve_test.py -- -k 'unlisted or random'")

# ---- clean-up, Redis, ingestion
M("janitor_clock", "janitor/run.c", "if (!rep->clock_ms || llabs(skew_s) <= j->opt->max_skew_s)", "if (!rep->clock_ms || skew_s <= j->opt->max_skew_s)", "clean-up stops when a clock is wrong, either way", "py tests/e2e/test_janitor.py -- -k 'clock'")
M("janitor_keeps", "store/sql/clean.sql", "SELECT ctid FROM messages\n        WHERE expires_at <= now()", "SELECT ctid FROM messages\n        WHERE expires_at <= now() + interval '1 day'", "nothing is deleted before its time", "py tests/service/store_turns.py", "py tests/e2e/test_janitor.py")
M("janitor_children", "store/sql/clean.sql", "        WHERE expires_at <= now()\n          AND (SELECT true FROM messages m WHERE m.conversation_id = conversations.id LIMIT 1) IS NULL\n", "        WHERE expires_at <= now()\n", "a conversation goes only when it is empty", "py tests/service/store_turns.py", "py tests/e2e/test_janitor.py")
M("months_statements", "store/calls/clean.c", "store_of(c)->months ? &cleans[i].months : &cleans[i].one", "&cleans[i].one", "messages by month are cleaned up by month", "py tests/service/store_months.py")
M("redis_breaker", "common/process/breaker.c", "if (recent(b, now_ms) < patience(b))", "if (recent(b, now_ms) < 100 * patience(b))", "five failures open the breaker", "unit common/breaker_test")
M("redis_probe", "common/process/breaker.c", "} else if (!probe || b->state != BREAKER_PROBING) {", "} else {", "a failed probe keeps it open", "unit common/breaker_test")
M("redis_rest_of_a_reply", "common/redis/conn.c", "    if (c->at != c->n)\n        return false;\n", "", "a connection with a reply that nobody took is not used again", "unit common/redis_test", "unit common/redis_faults_test")
M("ingest_bidi", "text/clean.c", "(c >= 0x202a && c <= 0x202e)", "(c >= 0x212a && c <= 0x202e)", "controls that hide text are taken out", "unit retriever/chunk_test")
M("ingest_filter_bound", "retriever/filter.c", "            d = json_number_value(have) - json_number_value(bound);", "            d = json_number_value(have) - json_number_value(bound) + 1e-9;", "gt is not gte", "unit retriever/filter_test")
M("ingest_tenant_of_shard", "retriever/index/index.c", "if (str_is(tenant, s->tenant) && str_is(collection, s->collection))", "if (str_is(collection, s->collection))", "one tenant's passages are never another's", "unit retriever/index_test",
  "py tests/service/retriever_search.py")
FALLBACK = "py tests/e2e/test_fallback.py"
M("fallback_patience", "retriever/fallback.c", "return fallback_ready(f) && until < deadline_ms ? until : deadline_ms;", "return fallback_ready(f) && until < 0 ? until : deadline_ms;", "a cluster that is silent leaves time for the words", FALLBACK + " -- -k silent")
M("fallback_at_once", "retriever/fallback.c", "    if (f->breaker.state != BREAKER_CLOSED)\n        return \"its searches fail\";\n", "", "no question waits for a cluster that is known to be silent", FALLBACK + " -- -k silent")
M("fallback_says_so", "retriever/search.c", "s->found.degraded = t->words;", "s->found.degraded = false;", "an answer by words is marked", FALLBACK + " -- -k down")
M("fallback_kept", "gateway/ask/run.c", "!q->refused && !q->degraded &&", "!q->refused &&", "a degraded answer is in no cache", "unit gateway/ask_test", FALLBACK + " -- -k session")
M("ingest_nul", "text/clean.c", "        if (c == 0)\n            return", "        if (c == 0x110000)\n            return", "what contains NUL is no text", "py tests/service/retriever_ingest.py")
M("stream_cut", "embedder/openai/chat.c", "s->junk = !s->ending;", "s->done = !s->ending;", "a garbled stream never passes for whole", "unit embedder/chat", "py tests/service/embedder_upstream_test.py -- -k 'failure or cut'")
