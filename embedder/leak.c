/* Looking for the prompt in an answer (leak.h). The canary is found in any case and with anything but letters
 * and digits between its characters; words likewise count without case and punctuation. */
#include "embedder/leak.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/text/text.h"

#define PROMPT_KEPT 65536 /* bytes of a prompt whose rows are kept */

static char canary[2 * (LEAK_CANARY / 2) + 1];
static char line[64];

void
leak_init(void)
{
    hex_random(LEAK_CANARY / 2, canary);
    memcpy(line, "\nPrompt ", 8);
    memcpy(line + 8, canary, LEAK_CANARY);
    memcpy(line + 8 + LEAK_CANARY, ".", 2);
}

const char *
leak_line(void)
{
    return line;
}

static uint64_t
mix(uint64_t h, unsigned char c)
{
    h = (h ^ c) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

/* A letter, a digit, or a byte of a character beyond ASCII; lower case. */
static int
word_char(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 0x80 ? u : isalnum(u) ? tolower(u) : 0;
}

static uint64_t
window_hash(const uint64_t *words, size_t from)
{
    uint64_t h = 1;

    for (size_t i = 0; i < LEAK_WINDOW; i++)
        h = (h ^ words[(from + i) % LEAK_WINDOW]) * 0xd6e8feb86659fd93u;
    return h;
}

static int
by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* A word of the prompt ended. */
static void
prompt_word(struct leak *l)
{
    if (l->word == 0)
        return;
    l->words[l->seen++ % LEAK_WINDOW] = l->word;
    l->word = 0;
    if (++l->run >= LEAK_WINDOW && l->n < LEAK_WINDOWS)
        l->window[l->n++] = window_hash(l->words, l->seen);
}

static void
prompt_read(struct leak *l, struct str prompt)
{
    size_t words;

    memset(l, 0, sizeof *l);
    for (size_t i = 0; i < prompt.n; i++) {
        int c = word_char(prompt.p[i]);

        if (c != 0) {
            l->word = mix(l->word ? l->word : 7, (unsigned char)c);
            continue;
        }
        prompt_word(l);
        if (str_starts((struct str){ prompt.p + i, prompt.n - i }, "{refusal}")) {
            l->run = 0;
            i += 8;
        }
    }
    prompt_word(l);
    qsort(l->window, l->n, sizeof *l->window, by_value);
    words = l->seen / 3;
    l->most = words < LEAK_WINDOW ? LEAK_WINDOW : words > 30 ? 30 : words;
    l->seen = l->run = 0;
}

void
leak_begin(struct leak *l, struct str prompt)
{
    static struct leak last; /* of the prompt before this one: it is the same one again and again */
    static struct buf of = { .max = PROMPT_KEPT };

    if (prompt.n == 0 || !str_eq(prompt, buf_slice(&of))) {
        prompt_read(&last, prompt);
        buf_reset(&of);
        buf_str(&of, prompt);
    }
    *l = last;
}

/* A word of the answer ended: is it the twelfth of a row of the prompt? */
static bool
answer_word(struct leak *l)
{
    uint64_t h;

    if (l->word == 0)
        return false;
    l->words[l->seen++ % LEAK_WINDOW] = l->word;
    l->word = 0;
    if (l->seen < LEAK_WINDOW || l->n == 0)
        return false;
    h = window_hash(l->words, l->seen);
    if (!bsearch(&h, l->window, l->n, sizeof h, by_value)) {
        l->run = 0;
        return false;
    }
    l->hits += l->run ? 1 : LEAK_WINDOW;
    l->run = 1;
    return l->hits >= l->most;
}

/* One more letter or digit. The canary may begin anew within what was matched. */
static void
canary_char(struct leak *l, char c)
{
    while (canary[l->matched] != c && l->matched > 0) {
        size_t keep = l->matched - 1;

        while (keep > 0 && memcmp(canary, canary + l->matched - keep, keep) != 0)
            keep--;
        memmove(l->at, l->at + l->matched - keep, keep * sizeof *l->at);
        l->matched = keep;
    }
    if (canary[l->matched] == c)
        l->at[l->matched++] = l->bytes;
}

bool
leak_push(struct leak *l, struct str text)
{
    bool leaks = false;

    for (size_t i = 0; i < text.n && !leaks; i++, l->bytes++) {
        int c = word_char(text.p[i]);

        if (c == 0) {
            leaks = answer_word(l);
            continue;
        }
        l->word = mix(l->word ? l->word : 7, (unsigned char)c);
        if (canary[0] != 0 && c < 0x80)
            canary_char(l, (char)c);
        leaks = l->matched == LEAK_CANARY;
    }
    return leaks;
}

size_t
leak_safe(const struct leak *l)
{
    return l->matched > 0 ? l->at[0] : l->bytes;
}
