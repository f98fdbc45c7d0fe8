/* A table with open addressing, at most half full (names.h). */
#include "extract/names.h"

#include "common/hash.h"
#include "extract/extract.h"

struct name {
    char *name; /* NULL: an empty slot */
    size_t number;
};

static struct name *
slot_of(const struct names *t, const char *name)
{
    size_t at = (size_t)hash_str(str_of(name)) & (t->cap - 1);

    while (t->slots[at].name && strcmp(t->slots[at].name, name) != 0)
        at = (at + 1) & (t->cap - 1);
    return &t->slots[at];
}

static void
grow(struct names *t)
{
    struct names more = { .cap = t->cap ? 2 * t->cap : 64, .n = t->n };

    more.slots = room_new(more.cap * sizeof *more.slots);
    memset(more.slots, 0, more.cap * sizeof *more.slots);
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i].name)
            *slot_of(&more, t->slots[i].name) = t->slots[i];
    mem_free(&t->slots);
    *t = more;
}

void
names_put(struct names *t, const char *name, size_t number)
{
    struct name *s;

    if (2 * (t->n + 1) > t->cap)
        grow(t);
    s = slot_of(t, name);
    if (s->name)
        return;
    *s = (struct name){ mem_dup(name), number };
    t->n++;
}

bool
names_get(const struct names *t, const char *name, size_t *number)
{
    const struct name *s = t->cap ? slot_of(t, name) : NULL;

    if (!s || !s->name)
        return false;
    *number = s->number;
    return true;
}
