/* A model server's event stream, its chunks and its thoughts: the first byte is a seed of the pieces it comes in.
 * Properties: pieces of any size give the same events as the whole; text, thoughts and finish reasons
 * of chunks are what JSON says, never outside of it; letters that were cut are whole again or unknown; what is left when thoughts are taken out is the
 * same however it came. */
#include "common/text/text.h"
#include "embedder/openai/mend.h"
#include "embedder/openai/stream.h"
#include "tests/fuzz/fuzz.h"
#include "text/sse.h"

/* The data that is judged as a chunk later, and the names beside it. */
struct heard {
    struct buf data, names;
};

static void
collect(void *arg, struct str event, struct str data)
{
    struct heard *h = arg;

    buf_str(&h->names, event);
    buf_c(&h->names, '\n');
    buf_str(&h->data, data);
    buf_c(&h->data, 0);
}

static bool
emit(void *arg, struct str text)
{
    buf_str(arg, text);
    return true;
}

static void
forget(void *arg)
{
    buf_reset(arg);
}

static size_t
step(unsigned *seed, size_t left)
{
    *seed = *seed * 1103515245u + 12345u;
    return 1 + (*seed >> 16) % 9 < left ? 1 + (*seed >> 16) % 9 : left;
}

static bool
events(struct str in, unsigned seed, bool whole, struct heard *out)
{
    bool clean = seed & 1, over;
    struct sse s;

    sse_init(&s, 4096, collect, out);
    for (size_t i = 0, k; i < in.n; i += k) {
        char *piece;

        k = whole ? in.n : step(&seed, in.n - i);
        piece = exact((struct str){ in.p + i, k });
        sse_push(&s, piece, k);
        mem_free(&piece);
    }
    if (clean)
        sse_end(&s);
    over = sse_overflow(&s);
    sse_fini(&s);
    return over;
}

static void
thoughts(struct str in, unsigned seed, bool whole, struct buf *out)
{
    struct think k;

    think_init(&k, emit, forget, out);
    for (size_t i = 0, n; i < in.n; i += n) {
        n = whole ? in.n : step(&seed, in.n - i);
        require(think_push(&k, (struct str){ in.p + i, n }));
    }
    require(think_end(&k));
    think_fini(&k);
}

/* Letters that were put together are letters, and what is held back is short. */
static void
judge_letters(struct str text)
{
    struct buf b = BUF_MAX(1 << 20);
    struct mend m = { .n = 0 };

    mend_join(&m, text, &b);
    require(m.n <= sizeof m.held && utf8_valid((struct str){ m.held, m.n }));
    mend_end(&m, &b);
    require(!b.failed && utf8_valid(buf_slice(&b)) && b.n <= text.n);
    buf_free(&b);
}

static void
judge_chunk(struct str data)
{
    struct chat_chunk c;
    enum chat_event e = chat_chunk_parse(data, &c);

    if (e == CHAT_EV_CHUNK) {
        require(utf8_valid(c.text) && utf8_valid(c.finish));
        judge_letters(c.text);
        require(c.prompt_tokens >= -1 && c.completion_tokens >= -1);
        if (c.finish.p)
            require(chat_finish_name(c.finish) != NULL);
    }
    chat_chunk_free(&c);
}

static void
judge_events(struct str in, unsigned seed)
{
    struct heard whole = { 0 }, pieces = { 0 };
    bool over = events(in, seed, true, &whole);

    require(over == events(in, seed, false, &pieces));
    require(over || (str_eq(buf_slice(&whole.data), buf_slice(&pieces.data)) &&
                     str_eq(buf_slice(&whole.names), buf_slice(&pieces.names))));
    require(!memchr(buf_slice(&whole.names).p, '\r', whole.names.n));
    for (struct str rest = buf_slice(&whole.data); rest.n > 0;)
        judge_chunk(take_until(&rest, 0));
    buf_free(&whole.data);
    buf_free(&whole.names);
    buf_free(&pieces.data);
    buf_free(&pieces.names);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str in = { (const char *)data, n < 10000 ? n : 10000 };
    unsigned seed = take_byte(&in);
    struct buf whole = { 0 }, pieces = { 0 };

    judge_events(in, seed);
    judge_chunk(in);
    thoughts(in, seed, true, &whole);
    thoughts(in, seed, false, &pieces);
    require(str_eq(buf_slice(&whole), buf_slice(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
