/* Instructions for a text. See instruct.h. */
#include "text/instruct.h"

#include <string.h>

#include "text/asking.h"

enum { CORE_MAX = 65536 };

static const char *const instructions[] = {
#define INSTRUCT(words) words,
#include "text/instruct.tbl"
#undef INSTRUCT
};

static bool
is_instruction(struct str w)
{
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++)
        for (const char *z = instructions[i]; *z; z += z[0] == ' ') {
            size_t n = strcspn(z, " ");

            if (n == w.n && memcmp(z, w.p, n) == 0)
                return true;
            z += n;
        }
    return false;
}

static void
look_at(void *arg, const struct word *w)
{
    bool *more = arg;

    *more = *more || (w->cls == WORD_CONTENT && !is_instruction(w->folded));
}

bool
instructs(struct words *w, struct str question, enum language otherwise)
{
    struct buf core = BUF_MAX(CORE_MAX + 1);
    bool more = false;

    asking_core(question, &core);
    words_language(w, language_of(question, 0, otherwise));
    words_each(w, buf_slice(&core), look_at, &more);
    buf_free(&core);
    return !more;
}
