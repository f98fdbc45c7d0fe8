/* Thoughts that stand in the text, between tags. A push filter: the same bytes give the same text however they are split.
 *
 *   <think>maybe [2]</think>It is so [1].   →   It is so [1].
 *
 * A tag counts at the beginning of the answer, of a line, or behind another thought, and not in code;
 * elsewhere it is text, which may be about tags. Some models write only the closing tag, because their
 * template opens the thought: then all before it was thought. */
#include <ctype.h>
#include <strings.h>

#include "embedder/openai/stream.h"

#define ATTRIBUTES_MAX 160 /* bytes of a tag behind its name */
#define LAST_MAX 256       /* … and of the last word with the blanks behind it */
#define BARE_OPEN \
    "analysis" /* of gpt-oss, where a server dropped the signs around it: then a capital letter follows */

/* A tag is its name, then blanks or attributes, then '>'; where the name does not begin with '<' and a letter, or ends with '>',
 * it is a word as it stands. */
static const struct {
    const char *open, *close;
    bool
        alone; /* its end says so also where nothing opened it: answers fold parts of their own in <details> */
} tags[] = {
    { "<think", "</think", true },
    { "<thinking", "</thinking", true },
    { "<thought", "</thought", true },
    { "<thoughts", "</thoughts", true },
    { "<reasoning", "</reasoning", true },
    { "<reason", "</reason", true },
    { "<reflection", "</reflection", true },
    { "<seed:think", "</seed:think", true },
    { "<details type=\"reasoning\"", "</details", false },
    { "\xe2\x97\x81think\xe2\x96\xb7", "\xe2\x97\x81/think\xe2\x96\xb7", true }, /* ◁think▷ */
    { "[THINK]", "[/THINK]", true },
    { "<|begin_of_thought|>", "<|end_of_thought|>", true },
    { "<|channel|>analysis<|message|>", "<|end|>", false },
    { "<|channel|>commentary<|message|>", "<|end|>", false },
    { "<|channel>thought", "<channel|>", true },
    { "<|START_THINKING|>", "<|END_THINKING|>", true },
    { "<|inner_prefix|>", "<|inner_suffix|>", true },
    { BARE_OPEN, "assistantfinal", true },
};
#define TAGS (sizeof tags / sizeof *tags)

/* Words of a template between the thought and the answer, and at the very end. */
static const char *const heads[] = { "<|start|>assistant<|channel|>final<|message|>",
                                     "<|channel|>final<|message|>", "<|begin_of_solution|>",
                                     "<|START_RESPONSE|>" };
static const char *const ends[] = { "<|return|>",      "<|end|>",       "<|im_end|>",
                                    "<|eot_id|>",      "<|endoftext|>", "<|end_of_solution|>",
                                    "<|END_RESPONSE|>" };
/* An answer in a tag of its own, behind a thought (ERNIE, Hunyuan); only then are these words no text. */
static const struct {
    const char *open, *close;
} wraps[] = { { "<answer>", "</answer>" },
              { "<response>", "</response>" },
              { "<final_answer>", "</final_answer>" } };

void
think_init(struct think *k, bool (*emit)(void *arg, struct str text), void (*forget)(void *arg), void *arg)
{
    *k = (struct think){
        .hold = BUF_MAX(1 << 20), .emit = emit, .forget = forget, .arg = arg, .at = { .border = true }
    };
}

void
think_fini(struct think *k)
{
    buf_free(&k->hold);
}

/* The bytes of the word that s begins with; 0: none, and *maybe when it ends too early to tell. */
static size_t
word_at(struct str s, const char *z, bool *maybe)
{
    size_t n = strlen(z), have = s.n < n ? s.n : n;

    if (strncasecmp(s.p, z, have) != 0)
        return 0;
    *maybe |= have < n;
    return have < n ? 0 : n;
}

/* The same of a tag: up to and with its '>'. */
static size_t
tag_len(struct str s, const char *name, bool *maybe)
{
    size_t n = word_at(s, name, maybe);

    if (n == 0 || name[0] != '<' || name[1] == '|' || name[strlen(name) - 1] == '>')
        return n;
    for (size_t i = n; i < s.n && i - n <= ATTRIBUTES_MAX; i++) {
        if (s.p[i] == '>')
            return i + 1;
        if (s.p[i] == '<' || s.p[i] == '\n' || (i == n && !isspace((unsigned char)s.p[i])))
            return 0;
    }
    *maybe |= s.n - n <= ATTRIBUTES_MAX;
    return 0;
}

/* Code spans and fenced blocks: nothing in them is a tag. */
static void
step(struct think_place *at, char c)
{
    at->begun |= isspace((unsigned char)c) == 0;
    if (c == '\n') {
        at->ticks = false;
        at->run = 0;
        at->border = true;
        return;
    }
    at->run = c != '`' ? 0 : at->border || at->run > 0 ? at->run + 1 : 0;
    if (at->run == 3)
        at->fence = !at->fence;
    if (c == '`')
        at->ticks = !at->ticks;
    at->border &= isspace((unsigned char)c) != 0;
}

static bool
in_code(const struct think_place *at)
{
    return at->fence || at->ticks;
}

static bool
give(struct think *k, const char *p, size_t n)
{
    size_t at = 0;

    if (!k->at.begun) /* no blanks before the answer */
        while (at < n && isspace((unsigned char)p[at]))
            at++;
    for (size_t i = 0; i < n; i++)
        step(&k->at, p[i]);
    return at == n || k->emit(k->arg, (struct str){ p + at, n - at });
}

/* In a thought: drop up to its end. False: more must come. */
static bool
skip_thought(struct think *k, size_t *at)
{
    const char *close = tags[k->in - 1].close;

    k->thought = true;
    for (; *at < k->hold.n; (*at)++) {
        struct str s = { k->hold.p + *at, k->hold.n - *at };
        bool maybe = false;
        size_t n = s.p[0] == close[0] ? tag_len(s, close, &maybe) : 0;

        if (maybe)
            return false;
        if (n == 0)
            continue;
        *at += n;
        k->in = 0;
        k->at = (struct think_place){ .border = true, .begun = k->at.begun };
        return true;
    }
    return false;
}

enum found { NOTHING, MAYBE, OPENS, CLOSES, HEAD };

/* "analysisWe need to …": the beginning of an answer, and of nothing else. */
static size_t
bare_open(const struct think_place *at, struct str s, bool *maybe)
{
    size_t n = strlen(BARE_OPEN), have = s.n < n ? s.n : n;

    if (at->begun || memcmp(s.p, BARE_OPEN, have) != 0)
        return 0;
    *maybe |= s.n <= n;
    return s.n > n && isupper((unsigned char)s.p[n]) ? n : 0;
}

static size_t
open_len(const struct think_place *at, struct str s, const char *name, bool *maybe)
{
    return strcmp(name, BARE_OPEN) == 0 ? bare_open(at, s, maybe) : tag_len(s, name, maybe);
}

/* Nothing but this word and blanks: only the end tells whether it is the last one. */
static bool
is_last(struct str s, const char *word)
{
    size_t n = strlen(word);

    if (s.n > LAST_MAX) /* a server that goes on sending blanks */
        return false;
    while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s.n <= n && s.n > 0 && strncasecmp(s.p, word, s.n) == 0;
}

static bool
may_end(const struct think *k, struct str s)
{
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (is_last(s, ends[i]))
            return true;
    return k->wrapped > 0 && is_last(s, wraps[k->wrapped - 1].close);
}

/* The word of a template that stands before the answer. */
static size_t
head_len(struct think *k, struct str s, const struct think_place *at, bool *maybe)
{
    size_t n;

    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if ((n = word_at(s, heads[i], maybe)) > 0)
            return n;
    for (size_t i = 0; k->thought && !at->begun && i < sizeof wraps / sizeof *wraps; i++)
        if ((n = word_at(s, wraps[i].open, maybe)) > 0) {
            k->wrapped = i + 1;
            return n;
        }
    return 0;
}

/* The kind of thing that begins here, and its length: a tag, a template's word, perhaps one of them
 * (wait), or nothing. */
static enum found
look(struct think *k, struct str s, const struct think_place *at, size_t *which, size_t *len)
{
    bool maybe = false;

    if (in_code(at))
        return NOTHING;
    if (at->border && (*len = head_len(k, s, at, &maybe)) > 0)
        return HEAD;
    for (*which = 0; *which < TAGS; (*which)++) {
        if (at->border && (*len = open_len(at, s, tags[*which].open, &maybe)) > 0)
            return OPENS;
        if (!k->thought && s.p[0] != 'a' && tags[*which].alone &&
            (*len = tag_len(s, tags[*which].close, &maybe)) > 0)
            return CLOSES;
    }
    return maybe || may_end(k, s) ? MAYBE : NOTHING;
}

static bool
may_begin(const struct think_place *at, char c)
{
    return c == '<' || c == '[' || c == '\xe2' || (c == BARE_OPEN[0] && !at->begun);
}

/* Text up to the next tag. False: more must come, or nobody takes more. */
static bool
take_text(struct think *k, size_t *from)
{
    struct think_place at = k->at;

    for (size_t i = *from; i < k->hold.n; i++) {
        size_t which = 0, len = 0;
        enum found f = may_begin(&at, k->hold.p[i])
                           ? look(k, (struct str){ k->hold.p + i, k->hold.n - i }, &at, &which, &len)
                           : NOTHING;

        if (f == NOTHING) {
            step(&at, k->hold.p[i]);
            continue;
        }
        if (f == CLOSES) {
            k->forget(k->arg);
            k->thought = true;
            k->at = (struct think_place){ .border = true };
        } else {
            k->full |= !give(k, k->hold.p + *from, i - *from);
        }
        *from = i + len;
        k->in = f == OPENS ? which + 1 : 0;
        return f != MAYBE;
    }
    k->full |= !give(k, k->hold.p + *from, k->hold.n - *from);
    *from = k->hold.n;
    return false;
}

/* The tag that ends a thought whose beginning is not in the text, also in code: the thought may hold half of a block. */
static size_t
end_len(struct str s, bool *maybe)
{
    bool may = may_begin(&(struct think_place){ .begun = false }, s.p[0]);
    size_t n = 0;

    for (size_t i = 0; may && i < TAGS && n == 0; i++)
        if (tags[i].alone)
            n = tag_len(s, tags[i].close, maybe);
    return n;
}

/* Does it begin with a thought, as a text that says so does? */
static bool
begins_open(const struct think *k, bool *maybe)
{
    struct think_place start = { .border = true };
    struct str s = buf_slice(&k->hold);
    bool opens = false;

    for (size_t i = 0; i < TAGS && s.n > 0 && !opens; i++)
        opens = open_len(&start, s, tags[i].open, maybe) > 0;
    return opens;
}

/* All is held back until the end of the thought is there. False: it is not. */
static bool
expected(struct think *k)
{
    bool maybe = false;

    if (k->scanned == 0 && begins_open(k, &maybe))
        k->expects = false;
    while (k->expects && !maybe && k->scanned < k->hold.n) {
        struct str s = { k->hold.p + k->scanned, k->hold.n - k->scanned };
        size_t n = end_len(s, &maybe);

        if (n > 0) {
            buf_cut(&k->hold, k->scanned + n);
            k->expects = false;
            k->thought = true;
        }
        k->scanned += n == 0 && !maybe;
    }
    return !k->expects;
}

bool
think_push(struct think *k, struct str text)
{
    size_t at = 0;

    while (k->expects && k->hold.n == 0 && text.n > 0 && isspace((unsigned char)text.p[0]))
        text = (struct str){ text.p + 1, text.n - 1 }; /* no blanks before the answer */
    buf_str(&k->hold, text);
    if (k->expects && !expected(k))
        return !k->hold.failed;
    while (!k->full && (k->in ? skip_thought(k, &at) : take_text(k, &at)))
        ;
    buf_cut(&k->hold, at);
    return !k->full && !k->hold.failed;
}

static bool
is_end(const struct think *k, struct str s)
{
    while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return str_is_any(s, ends, sizeof ends / sizeof *ends) ||
           (k->wrapped > 0 && str_is_anycase(s, wraps[k->wrapped - 1].close));
}

void
think_cut(struct think *k)
{
    k->thought |= k->expects && k->hold.n > 0;
    if (k->expects)
        buf_reset(&k->hold);
}

bool
think_end(struct think *k)
{
    if (k->expects) { /* there was none */
        k->expects = false;
        (void)think_push(k, STR(""));
    }
    if (!k->in && k->hold.n > 0 && !k->full && !is_end(k, buf_slice(&k->hold)))
        k->full |= !give(k, k->hold.p, k->hold.n); /* it looked like a tag and is none */
    k->hold.n = 0;
    return !k->full;
}
