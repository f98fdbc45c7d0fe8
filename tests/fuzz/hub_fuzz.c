/* The hub's core under the fuzzer: the input is a sequence of events. Frames are either raw bytes or well-formed headers
 * with fuzzed fields, so that the state behind the decoders is reached, too. After every event the invariants hold
 * (core_check), each ask is answered at most once, and never after it gave up. */
#include <stdlib.h>

#include "common/log.h"
#include "gateway/hub/core.h"

#define ASKS 32
#define PEERS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

struct fuzz_ask {
    uint64_t handle;
    int answers;
    bool gone;
};

static struct {
    struct core *core;
    int64_t now;
    struct fuzz_ask ask[ASKS];
    size_t n_asks;
    struct uuid sent[ASKS]; /* ids of the last requests to workers: replies aim at them */
    size_t n_sent;
} z;

struct input {
    const uint8_t *p, *end;
};

static uint8_t
byte(struct input *in)
{
    return in->p < in->end ? *in->p++ : 0;
}

static void
require(bool ok)
{
    if (!ok)
        abort();
}

static bool
on_send(void *arg, uint64_t peer, int cmd, const void *head, struct blob *payload)
{
    struct buf b = BUF_MAX(BUS_HEAD_MAX);

    (void)arg, (void)peer, (void)payload;
    require(msg_encode(bus_head_desc(cmd), head, &b) == ERR_OK); /* what the hub says must be sayable */
    buf_free(&b);
    if (cmd == CMD_REQUEST)
        z.sent[z.n_sent++ % ASKS] = ((const struct head_request *)head)->req;
    return true;
}

static void
on_part(void *arg, void *caller, struct blob *payload)
{
    struct fuzz_ask *a = caller;

    (void)arg;
    require(payload && !a->answers && !a->gone);
}

static void
on_done(void *arg, void *caller, enum err e, struct blob *payload, struct str text, int64_t retry_after_ms)
{
    struct fuzz_ask *a = caller;

    (void)arg, (void)e, (void)payload, (void)text, (void)retry_after_ms;
    require(!a->gone && ++a->answers == 1);
}

static void
send_head(struct input *in, int cmd, const void *head)
{
    struct core_peer from = { 1 + byte(in) % PEERS, byte(in) % 4 ? ~0u : 1u << SERVICE_EMBED, byte(in) % 3 };
    struct buf b = { 0 }, p = { 0 };
    struct blob *payload;

    if (msg_encode(bus_head_desc(cmd), head, &b) == ERR_OK) {
        buf_z(&p, "\x80");
        payload = blob_of_buf(&p);
        core_frame(z.core, z.now, &from, cmd, buf_slice(&b), payload);
        blob_drop(&payload);
    }
    buf_free(&b);
}

static void
fuzz_ready(struct input *in)
{
    struct offer o[2] = { { str_of(service_names[byte(in) % SERVICE_COUNT]), byte(in) },
                          { STR("embed"), 1 + byte(in) % 4 } };
    uint8_t instance[16] = { byte(in) }, life[16] = { byte(in) % 3 };
    struct head_ready h = { .services = { o, 1 + byte(in) % 2 },
                            .instance = { (const char *)instance, 16 },
                            .life = { life[0] ? (const char *)life : NULL, life[0] ? 16 : 0 } };

    send_head(in, CMD_READY, &h);
}

static void
fuzz_reply(struct input *in, int cmd)
{
    struct uuid id = z.n_sent ? z.sent[byte(in) % (z.n_sent < ASKS ? z.n_sent : ASKS)]
                              : (struct uuid){ { byte(in) } };
    int64_t attempt = byte(in) % 5;

    if (cmd == CMD_FINAL)
        send_head(in, cmd, &(struct head_final){ .req = id, .attempt = attempt, .code = byte(in) });
    else if (cmd == CMD_PARTIAL)
        send_head(in, cmd, &(struct head_part){ id, attempt, byte(in) });
    else
        send_head(in, CMD_NACK,
                  &(struct head_nack){ id, attempt, byte(in) % 2 ? STR("too_late") : STR("busy") });
}

static void
fuzz_ask(struct input *in)
{
    struct fuzz_ask *a = &z.ask[z.n_asks];
    struct buf b = { 0 };
    struct core_call q = {
        (enum kind)(byte(in) % KIND_COUNT), byte(in) % 2 ? "a" : "b", "t", z.now + byte(in) * 40, NULL, a
    };

    if (z.n_asks == ASKS)
        return;
    z.n_asks++;
    buf_z(&b, "\x80");
    q.payload = blob_of_buf(&b);
    a->handle = core_call(z.core, z.now, &q);
}

static void
fuzz_raw(struct input *in)
{
    struct core_peer from = { 1 + byte(in) % PEERS, ~0u, 0 };
    int cmd = byte(in) % 13;
    size_t n = byte(in);

    if (n > (size_t)(in->end - in->p))
        n = (size_t)(in->end - in->p);
    core_frame(z.core, z.now, &from, cmd, (struct str){ (const char *)in->p, n }, NULL);
    in->p += n;
}

static void
fuzz_worker_request(struct input *in)
{
    struct head_request h = { .req = { { 1 + byte(in) } },
                              .attempt = 1,
                              .ttl_ms = (int64_t)byte(in) * 256 - 1000,
                              .kind = str_of(kind_names[byte(in) % KIND_COUNT]) };

    if (byte(in) % 3)
        send_head(in, CMD_REQUEST, &h);
    else
        send_head(in, CMD_CANCEL, &(struct head_cancel){ h.req, 1 });
}

static void
fuzz_other(struct input *in)
{
    switch (byte(in) % 6) {
    case 0: core_unsent(z.core, z.now, 1 + byte(in) % PEERS); break;
    case 1: core_bad_frame(z.core, z.now, 1 + byte(in) % PEERS, "fuzz"); break;
    case 2: send_head(in, CMD_DRAIN, &(struct head_drain){ STR_NONE }); break;
    case 3: send_head(in, CMD_DISCONNECT, &(struct head_disconnect){ STR("bye") }); break;
    case 4: send_head(in, CMD_CREDIT, &(struct head_credit){ STR("embed"), byte(in) - 2 }); break;
    default: send_head(in, CMD_HEARTBEAT, &(struct head_heartbeat){ { NULL, 0 }, STR_NONE }); break;
    }
}

static void
giveup(struct input *in)
{
    struct fuzz_ask *a = &z.ask[byte(in) % ASKS];

    if (a->handle && !a->answers) {
        a->gone = true;
        core_giveup(z.core, z.now, a->handle);
    }
}

static void
event(struct input *in)
{
    switch (byte(in) % 9) {
    case 0: fuzz_ready(in); break;
    case 1: fuzz_reply(in, CMD_FINAL); break;
    case 2: fuzz_reply(in, byte(in) % 2 ? CMD_PARTIAL : CMD_NACK); break;
    case 3: fuzz_ask(in); break;
    case 4: fuzz_raw(in); break;
    case 5: fuzz_worker_request(in); break;
    case 6: fuzz_other(in); break;
    case 7: giveup(in); break;
    default:
        z.now += byte(in) * 13;
        core_tick(z.core, z.now);
        break;
    }
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    log_init("fuzz", "error", false);
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct core_ops ops = { on_send, on_part, on_done };
    static const uint8_t epoch[16] = "hub-epoch-fuzzed";
    struct input in = { data, data + n };

    memset(&z, 0, sizeof z);
    z.now = 1000;
    z.core = core_new(&ops, NULL, epoch, z.now);
    for (int i = 0; i < 200 && in.p < in.end; i++) {
        event(&in);
        require(!core_check(z.core));
    }
    core_tick(z.core, z.now + 700000); /* everybody's deadline */
    for (size_t i = 0; i < z.n_asks; i++)
        require(z.ask[i].answers == 1 || z.ask[i].gone);
    core_free(&z.core);
    return 0;
}
