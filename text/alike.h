/* Questions that ask the same in other words (alike.c): the gate of near-identical questions, behind the closeness of their vectors. */
#ifndef TEXT_ALIKE_H
#define TEXT_ALIKE_H

#include "common/mem.h"
#include "text/language.h"

/* The verdicts on two questions: ALIKE, or what keeps them apart. ALIKE_FATE(id, name) */
#define ALIKE_FATES \
    ALIKE_FATE(SAME, "same") \
    ALIKE_FATE(NUMBER, "number") \
    ALIKE_FATE(NAME, "name") \
    ALIKE_FATE(NEGATION, "negation") \
    ALIKE_FATE(QUANTITY, "quantity") \
    ALIKE_FATE(WISH, "wish") \
    ALIKE_FATE(LANGUAGE, "language") \
    ALIKE_FATE(ORDER, "order") \
    ALIKE_FATE(WORDS, "words")
enum alike {
#define ALIKE_FATE(id, name) ALIKE_##id,
    ALIKE_FATES
#undef ALIKE_FATE
        ALIKE_FATE_COUNT
};

struct alike_text; /* a question as it is compared */

/* Read a question of valid UTF-8. l: its language where the text itself does not say. Never NULL. */
struct alike_text *alike_new(struct str text, enum language l);
void alike_free(struct alike_text **t);
/* Do both ask the same? */
enum alike alike_judge(const struct alike_text *a, const struct alike_text *b);

#endif
