/* Load for footnote-store, as the gateways' hubs give it: a ROUTER that speaks the bus's frames, one worker, and callers
 * that hold one request each.
 *
 *   usage: store-load ENDPOINT      then one command a line on standard input, one line of JSON each on standard output:
 *
 *   seed SESSIONS TURNS             turns for the history to read: session i of "seed", five citations an answer
 *   turn SECONDS CALLERS RATE       turn.finish with 2 messages and 5 citations, each into one of 1,000 sessions
 *   history SECONDS CALLERS RATE    page 1 of 50 messages with their citations, of a seeded session
 *   mix SECONDS CALLERS RATE        what people do: turn.begin, turn.finish without the question, now and then a page
 *   pair SECONDS CALLERS RATE       turn.begin, then turn.finish without the question but with a trace, as a question makes them
 *
 * RATE 0: closed loop, each caller asks again when it is answered. Otherwise requests are due at random times (Poisson)
 * whatever the answers do, and a request that waits for a free caller is late from the time it was due. Ends at the end
 * of standard input. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "common/clock.h"
#include "common/random.h"
#include "proto/zsock.h"
#include "tests/bench/store_data.h"

#define CALLERS_MAX 256
#define TURN_SESSIONS 1000
#define TTL_MS 10000
#define SAMPLES_MAX 4000000

enum what { WHAT_SEED, WHAT_TURN, WHAT_HISTORY, WHAT_MIX, WHAT_PAIR };

struct caller {
    bool busy;
    uint64_t number; /* of its request, also in the request's id */
    int64_t due_us;
    enum kind kind;
    struct uuid question, message, conversation; /* mix: what turn.begin began */
    uint64_t session;
    bool begun;
};

struct run {
    enum what what;
    int64_t begin_us, end_us;
    size_t callers;
    double rate;          /* 0: closed */
    int64_t next_us;      /* open: when the next one is due */
    uint64_t asked, most; /* most: stop after so many; 0: by time */
    size_t busy;
    double *us; /* latencies */
    size_t n;
    uint64_t errors[256], bad;
};

struct driver {
    void *router;
    struct str peer; /* the store's routing id */
    uint8_t peer_bytes[16];
    uint8_t epoch[16];
    int64_t beat_us;
    struct buf head;
    uint64_t number, seeded; /* sessions */
    struct caller caller[CALLERS_MAX];
    struct run r;
};

static uint64_t
chance(uint64_t below)
{
    static uint64_t x = 0x9e3779b97f4a7c15ull;

    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return x % below;
}

/* ---- the bus */

static void
send_head(struct driver *l, int cmd, const void *head, struct blob *payload)
{
    bus_head_encode(cmd, head, &l->head);
    bus_send(l->router, l->peer, cmd, buf_slice(&l->head), payload);
}

static void
beat(struct driver *l)
{
    struct head_heartbeat h = { .hub_epoch = { (const char *)l->epoch, 16 } };

    l->beat_us = clock_us();
    if (l->peer.n)
        send_head(l, CMD_HEARTBEAT, &h, NULL);
}

static void
ask(struct driver *l, struct caller *c, enum kind kind, const void *req)
{
    struct buf b = BUF_MAX(0);
    struct head_request h = { .attempt = 1,
                              .ttl_ms = TTL_MS,
                              .kind = str_of(kinds[kind].name),
                              .trace = STR("bench"),
                              .tenant = STR(BENCH_TENANT) };
    uint64_t place = (uint64_t)(c - l->caller);
    struct blob *payload;

    c->number = ++l->number;
    c->kind = kind;
    c->busy = true;
    l->r.busy++;
    memcpy(h.req.b, &c->number, 8);
    memcpy(h.req.b + 8, &place, 8);
    if (msg_encode(kinds[kind].req(), req, &b) != ERR_OK) {
        fprintf(stderr, "%s\n", msg_fault());
        exit(2);
    }
    payload = blob_of_buf(&b);
    send_head(l, CMD_REQUEST, &h, payload);
    blob_drop(&payload);
}

/* ---- requests */

static void
ask_finish(struct driver *l, struct caller *c, struct uuid conversation, bool question)
{
    struct citation k[BENCH_CITATIONS] = { 0 };
    uint8_t session[32];
    struct turn_finish_req r = { .session = { (const char *)session, 32 },
                                 .conversation_id = conversation,
                                 .question_id = c->question,
                                 .message_id = c->message,
                                 .answer = bench_text(BENCH_ANSWER),
                                 .model = STR("bench-model"),
                                 .status = STR("complete"),
                                 .confidence = 0.75,
                                 .grounded = true,
                                 .prompt_tokens = 900,
                                 .completion_tokens = 150,
                                 .created_ms = clock_wall_ms(),
                                 .expiry_days = BENCH_DAYS,
                                 .citations = { k, BENCH_CITATIONS } };

    if (question)
        r.question = bench_text(BENCH_QUESTION);
    if (l->r.what == WHAT_PAIR)
        r.trace = bench_trace();
    bench_session(l->r.what == WHAT_SEED ? "seed" : "turn", c->session, session);
    for (int i = 0; i < BENCH_CITATIONS; i++)
        k[i] = (struct citation){ .id = uuid_v7(),
                                  .n = i + 1,
                                  .document_id = uuid_v4(),
                                  .chunk_id = uuid_v4(),
                                  .external_id = STR("pump-manual"),
                                  .title = STR("Pump manual"),
                                  .chapter = STR("Faults"),
                                  .section = STR("Codes"),
                                  .url = STR("https://docs.example.org/pump/faults"),
                                  .excerpt = bench_text(BENCH_EXCERPT),
                                  .start = 1000,
                                  .end = 1000 + BENCH_EXCERPT,
                                  .score = 0.5 };
    ask(l, c, KIND_TURN_FINISH, &r);
}

static void
ask_begin(struct driver *l, struct caller *c)
{
    uint8_t session[32];
    struct turn_begin_req r = { .session = { (const char *)session, 32 },
                                .question_id = c->question,
                                .message_id = c->message,
                                .question = bench_text(BENCH_QUESTION),
                                .expiry_days = BENCH_DAYS };

    bench_session("turn", c->session, session);
    ask(l, c, KIND_TURN_BEGIN, &r);
}

static void
ask_history(struct driver *l, struct caller *c)
{
    uint8_t session[32];
    struct history_req r = { .session = { (const char *)session, 32 }, .page = 1, .limit = BENCH_PAGE };

    bench_session("seed", chance(l->seeded ? l->seeded : 1), session);
    ask(l, c, KIND_HISTORY, &r);
}

static void
ask_turn(struct driver *l, struct caller *c, uint64_t session)
{
    c->session = session;
    c->question = uuid_v7();
    c->message = uuid_v7();
    ask_finish(l, c, (struct uuid){ { 0 } }, true);
}

static void
ask_mix(struct driver *l, struct caller *c, bool pages)
{
    if (c->begun) {
        c->begun = false;
        ask_finish(l, c, c->conversation, false);
    } else if (pages && l->seeded && chance(5) == 0) {
        ask_history(l, c);
    } else {
        c->session = chance(TURN_SESSIONS);
        c->question = uuid_v7();
        c->message = uuid_v7();
        ask_begin(l, c);
    }
}

static void
ask_next(struct driver *l, struct caller *c, int64_t due_us)
{
    struct run *r = &l->r;

    c->due_us = due_us;
    r->asked++;
    switch (r->what) {
    case WHAT_SEED: ask_turn(l, c, (r->asked - 1) % l->seeded); break;
    case WHAT_TURN: ask_turn(l, c, chance(TURN_SESSIONS)); break;
    case WHAT_HISTORY: ask_history(l, c); break;
    case WHAT_MIX: ask_mix(l, c, true); break;
    case WHAT_PAIR: ask_mix(l, c, false); break;
    }
}

/* ---- answers */

/* Every 64th page is decoded whole: it must be what was seeded. */
static void
check_page(struct driver *l, zmq_msg_t *payload)
{
    struct arena *a = arena_new(33554432);
    struct history_rep rep = { 0 };
    size_t citations = 0;

    if (msg_decode(history_rep_desc(), zmq_msg_data(payload), zmq_msg_size(payload), a, &rep) == ERR_OK)
        for (size_t i = 0; i < rep.items.n; i++)
            citations += rep.items.v[i].citations.n;
    if (rep.items.n != BENCH_PAGE || citations != BENCH_PAGE / 2 * BENCH_CITATIONS)
        l->r.bad++;
    arena_free(&a);
}

static void
keep_conversation(struct caller *c, zmq_msg_t *payload)
{
    struct arena *a = arena_new(1048576);
    struct turn_begin_rep rep = { 0 };

    if (msg_decode(turn_begin_rep_desc(), zmq_msg_data(payload), zmq_msg_size(payload), a, &rep) == ERR_OK) {
        c->conversation = rep.conversation_id;
        c->begun = true;
    }
    arena_free(&a);
}

static void
on_final(struct driver *l, struct zmessage *m)
{
    struct arena *a = arena_new(4096);
    struct head_final h = { 0 };
    struct run *r = &l->r;
    uint64_t number = 0, place = CALLERS_MAX;
    struct caller *c;

    if (msg_decode(head_final_desc(), m->head.p, m->head.n, a, &h) == ERR_OK) {
        memcpy(&number, h.req.b, 8);
        memcpy(&place, h.req.b + 8, 8);
    }
    arena_free(&a);
    if (place >= CALLERS_MAX || !(c = &l->caller[place])->busy || c->number != number)
        return;
    c->busy = false;
    r->busy--;
    if (h.code != 0)
        r->errors[h.code & 255]++;
    else if (r->n < SAMPLES_MAX && clock_us() >= r->begin_us)
        r->us[r->n++] = (double)(clock_us() - c->due_us);
    if (h.code == 0 && c->kind == KIND_HISTORY && m->payload && number % 64 == 0)
        check_page(l, m->payload);
    if (h.code == 0 && c->kind == KIND_TURN_BEGIN && m->payload)
        keep_conversation(c, m->payload);
}

static void
on_message(struct driver *l, struct zframes *f)
{
    struct zmessage m;

    if (!zframes_check(f, 1, &m))
        return;
    if (m.cmd == CMD_READY && zmq_msg_size(&f->m[0]) <= sizeof l->peer_bytes) {
        l->peer.n = zmq_msg_size(&f->m[0]);
        memcpy(l->peer_bytes, zmq_msg_data(&f->m[0]), l->peer.n);
        l->peer.p = (const char *)l->peer_bytes;
        beat(l);
    } else if (m.cmd == CMD_FINAL) {
        on_final(l, &m);
    }
}

/* zmq_poll counts in milliseconds, which is too coarse for what is due in some microseconds. */
static void
wait_us(struct driver *l, int64_t us)
{
    struct timespec t = { us / 1000000, us % 1000000 * 1000 };
    struct pollfd p = { .events = POLLIN };
    size_t n = sizeof p.fd, m = sizeof(int);
    int events = 0;

    zmq_getsockopt(l->router, ZMQ_FD, &p.fd, &n);
    zmq_getsockopt(l->router, ZMQ_EVENTS, &events, &m);
    if (!(events & ZMQ_POLLIN))
        ppoll(&p, 1, &t, NULL);
}

/* Takes what came; waits for it at most us. */
static void
turn_loop(struct driver *l, int64_t us)
{
    struct zframes f = { .n = 0 };

    if (us > 0)
        wait_us(l, us);
    for (int i = 0; i < 64 && bus_recv(l->router, &f) == 1; i++) {
        on_message(l, &f);
        zframes_drop(&f);
    }
    if (clock_us() - l->beat_us > 500000)
        beat(l);
}

/* ---- runs */

/* Gives work to the free callers; returns how long nothing will be due, in microseconds. */
static int64_t
feed(struct driver *l)
{
    struct run *r = &l->r;
    int64_t now = clock_us();

    for (size_t i = 0; i < r->callers && now < r->end_us && (!r->most || r->asked < r->most); i++) {
        if (l->caller[i].busy)
            continue;
        if (r->rate <= 0) {
            ask_next(l, &l->caller[i], now);
        } else if (r->next_us <= now) {
            double u = ((double)chance(1u << 30) + 1) / (1u << 30);

            ask_next(l, &l->caller[i], r->next_us);
            r->next_us += (int64_t)(-log(u) / r->rate * 1e6);
        }
    }
    if (r->rate > 0 && r->busy < r->callers && now < r->end_us)
        return r->next_us > now ? r->next_us - now : 0;
    return 100000;
}

static void
report(const struct run *r, double seconds)
{
    uint64_t errors = 0;
    double sum = 0;

    qsort(r->us, r->n, sizeof *r->us, bench_compare);
    for (size_t i = 0; i < r->n; i++)
        sum += r->us[i];
    printf(
        "{\"n\": %zu, \"seconds\": %.3f, \"rate\": %.1f, \"p50\": %.0f, \"p95\": %.0f, \"p99\": %.0f, \"max\": %.0f,"
        " \"mean\": %.0f, \"bad\": %" PRIu64 ", \"codes\": {",
        r->n, seconds, (double)r->n / seconds, bench_percentile(r->us, r->n, 50),
        bench_percentile(r->us, r->n, 95), bench_percentile(r->us, r->n, 99),
        bench_percentile(r->us, r->n, 100), r->n ? sum / (double)r->n : 0, r->bad);
    for (size_t i = 0; i < 256; i++) {
        if (r->errors[i])
            printf("%s\"%zu\": %" PRIu64, errors ? ", " : "", i, r->errors[i]);
        errors += r->errors[i];
    }
    printf("}, \"errors\": %" PRIu64 "}\n", errors + r->bad);
    fflush(stdout);
}

static void
run(struct driver *l)
{
    struct run *r = &l->r;
    int64_t stop;

    memset(l->caller, 0, sizeof l->caller);
    r->us = mem_new(SAMPLES_MAX * sizeof *r->us);
    r->next_us = r->begin_us;
    stop = r->end_us + TTL_MS * 1000;
    while (clock_us() < r->end_us && (!r->most || r->asked < r->most || r->busy > 0))
        turn_loop(l, feed(l));
    if (r->most)
        r->end_us = clock_us();
    while (r->busy > 0 && clock_us() < stop)
        turn_loop(l, 1000);
    for (size_t i = 0; i < r->callers; i++)
        r->bad += l->caller[i].busy; /* never answered */
    r->busy = 0;
    report(r, (double)(r->end_us - r->begin_us) / 1e6);
    mem_free(&r->us);
}

static bool
command(struct driver *l, const char *line)
{
    static const char *const names[] = { "seed", "turn", "history", "mix", "pair" };
    char name[16];
    double a, b, rate = 0;
    int n = sscanf(line, "%15s %lf %lf %lf", name, &a, &b, &rate);
    size_t i = 0;

    while (i < WHAT_PAIR + 1 && strcmp(names[i], name) != 0)
        i++;
    if (n < 3 || i > WHAT_PAIR || a <= 0 || b < 1 || (i != WHAT_SEED && b > CALLERS_MAX))
        return false;
    l->r = (struct run){
        .what = (enum what)i, .begin_us = clock_us(), .callers = i == WHAT_SEED ? 30 : (size_t)b, .rate = rate
    };
    l->r.end_us = l->r.begin_us + (int64_t)((i == WHAT_SEED ? 600 : a) * 1e6);
    if (i == WHAT_SEED) {
        l->seeded = (uint64_t)a;
        l->r.most = (uint64_t)(a * b);
    }
    run(l);
    return true;
}

int
main(int argc, char **argv)
{
    static struct driver l;
    struct pollfd in = { .fd = 0, .events = POLLIN };
    int mandatory = 1;
    char line[256];
    bool ok = true;

    if (argc != 2)
        return 2;
    random_bytes(l.epoch, sizeof l.epoch);
    l.router = zmq_socket(bus_context(), ZMQ_ROUTER);
    bus_options(l.router);
    zmq_setsockopt(l.router, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof mandatory);
    if (zmq_bind(l.router, argv[1]) != 0) {
        perror(argv[1]);
        return 2;
    }
    while (l.peer.n == 0)
        turn_loop(&l, 10000);
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (poll(&in, 1, 2) == 0)
            turn_loop(&l, 0);
        else if (!fgets(line, sizeof line, stdin))
            break;
        else if (!(ok = command(&l, line)))
            break;
    }
    buf_free(&l.head);
    zmq_close(l.router);
    bus_context_end();
    return ok ? 0 : 2;
}
