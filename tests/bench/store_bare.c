/* The limit that the store is measured against: a program that does nothing but write the rows of finished turns with
 * libpq, one pipeline a turn, one turn a connection at a time. Prepared statements, binary parameters, as few statements as
 * the rows allow: the session's and the conversation's row, both messages in one INSERT, all citations in one INSERT.
 *
 *   usage: store-bare CONNINFO       then one command a line on standard input, one line of JSON each on standard output:
 *
 *   turn SECONDS CONNECTIONS */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>

#include "common/clock.h"
#include "store/pool/pool.h"
#include "tests/bench/store_data.h"

#define CONNECTIONS_MAX 64
#define SESSIONS 1000
#define SAMPLES_MAX 4000000
#define PARAMS 80

enum { SESSION, CONVERSATION, MESSAGES, CITATIONS, STATEMENTS };

static const char *const names[STATEMENTS] = { "session", "conversation", "messages", "citations" };
static struct buf citations_sql;
static const char *texts[STATEMENTS] = {
    "INSERT INTO user_sessions AS s (id, tenant, session_id, expires_at)"
    " VALUES ($1::uuid, $2::text, $3::bytea, now() + interval '30 days')"
    " ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at"
    " WHERE excluded.expires_at > s.expires_at + interval '1 hour'",
    "INSERT INTO conversations AS c (id, tenant, user_session_id, is_open, expires_at)"
    " VALUES ($1::uuid, $2::text, $3::uuid, true, now() + interval '30 days')"
    " ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at"
    " WHERE excluded.expires_at > c.expires_at + interval '1 hour'",
    "INSERT INTO messages (id, tenant, conversation_id, question_id, role, content, status, model, confidence, grounded,"
    " prompt_tokens, completion_tokens, timestamp, expires_at) VALUES"
    " ($1::uuid, $2::text, $3::uuid, NULL, 'user', $4::text, 'complete', NULL, NULL, false, 0, 0, $5::timestamptz,"
    "  now() + interval '30 days'),"
    " ($6::uuid, $2::text, $3::uuid, $1::uuid, 'assistant', $7::text, 'complete', $8::text, $9::float8, true, $10::int8,"
    "  $11::int8, $12::timestamptz, now() + interval '30 days')",
    NULL,
};

struct link {
    PGconn *pg;
    bool busy;
    int64_t begun_us;
};
static struct link link_at[CONNECTIONS_MAX];
static size_t n_links;
static double *samples;
static size_t n_samples, n_errors;

static void
die(PGconn *pg, const char *what)
{
    fprintf(stderr, "%s: %s", what, PQerrorMessage(pg));
    exit(2);
}

static void
make_citations_sql(void)
{
    struct buf *b = &citations_sql;

    buf_z(
        b,
        "INSERT INTO citations (id, tenant, message_id, n, document_id, chunk_id, external_id, title, chapter, section,"
        " url, excerpt, start_byte, end_byte, score) VALUES ");
    for (int i = 0, p = 3; i < BENCH_CITATIONS; i++, p += 13)
        buf_printf(
            b,
            "%s($%d::uuid, $1::text, $2::uuid, $%d::int4, $%d::uuid, $%d::uuid, $%d::text, $%d::text, $%d::text,"
            " $%d::text, $%d::text, $%d::text, $%d::int8, $%d::int8, $%d::float8)",
            i ? ", " : "", p, p + 1, p + 2, p + 3, p + 4, p + 5, p + 6, p + 7, p + 8, p + 9, p + 10, p + 11,
            p + 12);
    texts[CITATIONS] = b->p;
}

static void
open_link(const char *url)
{
    struct link *l = &link_at[n_links++];

    l->pg = PQconnectdb(url);
    if (PQstatus(l->pg) != CONNECTION_OK)
        die(l->pg, "connect");
    PQclear(PQexec(l->pg, "SET search_path = footnote"));
    for (int i = 0; i < STATEMENTS; i++) {
        PGresult *r = PQprepare(l->pg, names[i], texts[i], 0, NULL);

        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            die(l->pg, names[i]);
        PQclear(r);
    }
    if (PQsetnonblocking(l->pg, 1) != 0 || !PQenterPipelineMode(l->pg))
        die(l->pg, "pipeline");
}

static void
send_one(struct link *l, int i, const struct param *p, int n)
{
    static const char *values[PARAMS];
    static int lengths[PARAMS], formats[PARAMS];

    for (int k = 0; k < n; k++) {
        values[k] = p[k].p ? p[k].p : p[k].n ? p[k].be : NULL;
        lengths[k] = (int)p[k].n;
        formats[k] = 1;
    }
    if (!PQsendQueryPrepared(l->pg, names[i], n, values, lengths, formats, 1))
        die(l->pg, names[i]);
}

static void
send_citations(struct link *l, const struct uuid *message)
{
    struct param p[PARAMS] = { p_z(BENCH_TENANT), p_id(message) };
    int n = 2;

    for (int i = 0; i < BENCH_CITATIONS; i++) {
        struct uuid id = uuid_v7(), document = uuid_v4(), chunk = uuid_v4();
        struct param ord = { .n = 4, .be = { 0, 0, 0, (char)(i + 1) } };
        const struct param row[] = { p_id(&id),
                                     ord,
                                     p_id(&document),
                                     p_id(&chunk),
                                     p_z("pump-manual"),
                                     p_z("Pump manual"),
                                     p_z("Faults"),
                                     p_z("Codes"),
                                     p_z("https://docs.example.org/pump/faults"),
                                     p_str(bench_text(BENCH_EXCERPT)),
                                     p_i64(1000),
                                     p_i64(1000 + BENCH_EXCERPT),
                                     p_f64(0.5) };

        memcpy(p + n, row, sizeof row);
        n += (int)(sizeof row / sizeof *row);
    }
    send_one(l, CITATIONS, p, n);
}

static void
begin_turn(struct link *l)
{
    uint8_t session[32];
    uint64_t which = uuid_v4().b[0] | (uint64_t)uuid_v4().b[1] << 8;
    struct uuid key, conversation, question = uuid_v7(), message = uuid_v7();
    int64_t now = clock_wall_ms();

    bench_session("bare", which % SESSIONS, session);
    key = bench_session_key(session);
    conversation = uuid_named((const struct str[]){ STR("conversation"), { (const char *)key.b, 16 } }, 2);
    l->begun_us = clock_us();
    l->busy = true;
    send_one(l, SESSION,
             (const struct param[]){ p_id(&key), p_z(BENCH_TENANT),
                                     p_str((struct str){ (char *)session, 32 }) },
             3);
    send_one(l, CONVERSATION, (const struct param[]){ p_id(&conversation), p_z(BENCH_TENANT), p_id(&key) },
             3);
    send_one(l, MESSAGES,
             (const struct param[]){ p_id(&question), p_z(BENCH_TENANT), p_id(&conversation),
                                     p_str(bench_text(BENCH_QUESTION)), p_time(now), p_id(&message),
                                     p_str(bench_text(BENCH_ANSWER)), p_z("bench-model"), p_f64(0.75),
                                     p_i64(900), p_i64(150), p_time(now + 1) },
             12);
    send_citations(l, &message);
    if (!PQpipelineSync(l->pg) || PQflush(l->pg) < 0)
        die(l->pg, "send");
}

/* True when the turn that was sent has been answered. */
static bool
answered(struct link *l)
{
    bool done = false;

    if (!PQconsumeInput(l->pg))
        die(l->pg, "receive");
    while (!done && !PQisBusy(l->pg)) {
        PGresult *r = PQgetResult(l->pg);
        ExecStatusType s = r ? PQresultStatus(r) : PGRES_COMMAND_OK;

        done = s == PGRES_PIPELINE_SYNC;
        if (s == PGRES_FATAL_ERROR) {
            if (n_errors++ == 0)
                fprintf(stderr, "%s", PQresultErrorMessage(r));
        }
        PQclear(r);
    }
    return done;
}

static void
report(double seconds)
{
    qsort(samples, n_samples, sizeof *samples, bench_compare);
    printf(
        "{\"n\": %zu, \"seconds\": %.3f, \"rate\": %.1f, \"p50\": %.0f, \"p95\": %.0f, \"p99\": %.0f, \"errors\": %zu}\n",
        n_samples, seconds, (double)n_samples / seconds, bench_percentile(samples, n_samples, 50),
        bench_percentile(samples, n_samples, 95), bench_percentile(samples, n_samples, 99), n_errors);
    fflush(stdout);
}

static void
run(double seconds, size_t n)
{
    struct pollfd fds[CONNECTIONS_MAX];
    int64_t begin = clock_us(), end = begin + (int64_t)(seconds * 1e6);
    size_t busy = n;

    n_samples = n_errors = 0;
    for (size_t i = 0; i < n; i++)
        begin_turn(&link_at[i]);
    while (busy > 0) {
        for (size_t i = 0; i < n; i++)
            fds[i] = (struct pollfd){ .fd = link_at[i].busy ? PQsocket(link_at[i].pg) : -1,
                                      .events = POLLIN };
        poll(fds, n, 1000);
        for (size_t i = 0; i < n; i++) {
            if (!(fds[i].revents & (POLLIN | POLLERR | POLLHUP)) || !answered(&link_at[i]))
                continue;
            link_at[i].busy = false;
            if (n_samples < SAMPLES_MAX && clock_us() <= end)
                samples[n_samples++] = (double)(clock_us() - link_at[i].begun_us);
            if (clock_us() < end)
                begin_turn(&link_at[i]);
            else
                busy--;
        }
    }
    report((double)(end - begin) / 1e6);
}

int
main(int argc, char **argv)
{
    char line[256];
    double seconds;
    size_t n;

    if (argc != 2)
        return 2;
    make_citations_sql();
    samples = mem_new(SAMPLES_MAX * sizeof *samples);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "turn %lf %zu", &seconds, &n) != 2 || n < 1 || n > CONNECTIONS_MAX)
            return 2;
        while (n_links < n)
            open_link(argv[1]);
        run(seconds, n);
    }
    for (size_t i = 0; i < n_links; i++)
        PQfinish(link_at[i].pg);
    buf_free(&citations_sql);
    mem_free(&samples);
    return 0;
}
