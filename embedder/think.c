/* Thoughts that stand in the text, between tags. A push filter: the same bytes give the same text however they are split.
 *
 *   <think>maybe [2]</think>It is so [1].   →   It is so [1].
 *
 * A tag counts at the beginning of the answer, of a line, or behind another thought; elsewhere it is text, which may be about tags.
 * Some models write only the closing tag, because their template opens the thought: then all before it was thought. */
#include <ctype.h>

#include "embedder/chat.h"

static const struct { const char *open, *close; } tags[] = {
    { "<think>", "</think>" },         { "<thinking>", "</thinking>" },   { "<thought>", "</thought>" },
    { "<reasoning>", "</reasoning>" }, { "<seed:think>", "</seed:think>" },
    { "\xe2\x97\x81think\xe2\x96\xb7", "\xe2\x97\x81/think\xe2\x96\xb7" },  /* ◁think▷ */
    { "[THINK]", "[/THINK]" },
};
#define TAGS (sizeof tags / sizeof *tags)

void
think_init(struct think *k, bool (*emit)(void *arg, struct str text), void (*forget)(void *arg), void *arg)
{
    *k = (struct think){ .hold = BUF_MAX(1 << 20), .emit = emit, .forget = forget, .arg = arg, .border = true };
}

void
think_fini(struct think *k)
{
    buf_free(&k->hold);
}

/* Does s begin with z, or, when it ends too early to tell, may it (*maybe)? */
static bool
begins(struct str s, const char *z, bool *maybe)
{
    size_t n = strlen(z);

    if (s.n < n) {
        *maybe |= memcmp(s.p, z, s.n) == 0;
        return false;
    }
    return memcmp(s.p, z, n) == 0;
}

static bool
give(struct think *k, const char *p, size_t n)
{
    size_t at = 0;

    if (!k->begun)                  /* no blanks before the answer */
        while (at < n && isspace((unsigned char)p[at]))
            at++;
    for (size_t i = 0; i < n; i++) {
        k->ticks = p[i] == '`' ? !k->ticks : p[i] == '\n' ? false : k->ticks;
        k->border = p[i] == '\n' || (k->border && isspace((unsigned char)p[i]));
    }
    k->begun |= at < n;
    return at == n || k->emit(k->arg, (struct str){ p + at, n - at });
}

/* In a thought: drop up to its end. False: more must come. */
static bool
skip_thought(struct think *k, size_t *at)
{
    const char *close = tags[k->in - 1].close;
    size_t n = strlen(close), left = k->hold.n - *at;
    const char *end = memmem(k->hold.p + *at, left, close, n);

    k->thought = true;
    if (end == NULL) {
        *at += left < n ? 0 : left - n + 1;
        return false;
    }
    *at = (size_t)(end - k->hold.p) + n;
    k->in = 0;
    k->border = true;
    return true;
}

/* What begins at byte i of the text: a tag, perhaps one (wait), or nothing. */
static enum { NO_TAG, MAYBE_TAG, OPENS, CLOSES }
tag_at(const struct think *k, size_t i, bool border, bool ticks, size_t *which)
{
    struct str s = { k->hold.p + i, k->hold.n - i };
    bool maybe = false;

    for (*which = 0; *which < TAGS; (*which)++) {
        if (border && begins(s, tags[*which].open, &maybe))
            return OPENS;
        if (!k->thought && !ticks && begins(s, tags[*which].close, &maybe))
            return CLOSES;
    }
    return maybe ? MAYBE_TAG : NO_TAG;
}

static bool
is_border(const struct think *k, size_t from, size_t i)
{
    while (i > from && k->hold.p[i - 1] != '\n' && isspace((unsigned char)k->hold.p[i - 1]))
        i--;
    return i > from ? k->hold.p[i - 1] == '\n' : k->border;
}

/* Text up to the next tag. False: more must come, or nobody takes more. */
static bool
take_text(struct think *k, size_t *at)
{
    bool ticks = k->ticks;

    for (size_t i = *at; i < k->hold.n; i++) {
        size_t which;

        ticks = k->hold.p[i] == '`' ? !ticks : k->hold.p[i] == '\n' ? false : ticks;
        if (!strchr("<[\xe2", k->hold.p[i]) || k->hold.p[i] == 0)
            continue;
        switch (tag_at(k, i, is_border(k, *at, i), ticks, &which)) {
        case NO_TAG:
            continue;
        case MAYBE_TAG:
            k->full |= !give(k, k->hold.p + *at, i - *at);
            *at = i;
            return false;
        case OPENS:
            k->full |= !give(k, k->hold.p + *at, i - *at);
            *at = i + strlen(tags[which].open);
            k->in = which + 1;
            return true;
        case CLOSES:
            k->forget(k->arg);
            k->begun = false;
            k->thought = k->border = true;
            *at = i + strlen(tags[which].close);
            return true;
        }
    }
    k->full |= !give(k, k->hold.p + *at, k->hold.n - *at);
    *at = k->hold.n;
    return false;
}

bool
think_push(struct think *k, struct str text)
{
    size_t at = 0;

    buf_str(&k->hold, text);
    while (!k->full && (k->in ? skip_thought(k, &at) : take_text(k, &at)))
        ;
    buf_cut(&k->hold, at);
    return !k->full && !k->hold.failed;
}

bool
think_end(struct think *k)
{
    if (!k->in && k->hold.n > 0 && !k->full)
        k->full |= !give(k, k->hold.p, k->hold.n);     /* it looked like a tag and is none */
    k->hold.n = 0;
    return !k->full;
}
