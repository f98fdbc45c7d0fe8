/* A tally of many files or pages: the new, the changed and the gone, and why some failed (tally.h). */
#include "client/tally.h"

static void
add(struct buf *list, const char *key, const char *value, const char *id)
{
    buf_z(list, list->n > 0 ? ",{" : "{");
    buf_key_str(list, "id", str_of(id));
    buf_key_str(list, key, str_of(value));
    buf_c(list, '}');
}

void
tally_item(struct tally *o, const char *state, const char *id)
{
    if (o->json) {
        add(&o->items, "state", state, id);
        return;
    }
    printf("%s ", state);
    put_line(stdout, str_of(id));
    putchar('\n');
}

void
tally_fail(struct tally *o, const char *id, const char *why)
{
    buf_printf(&o->reasons, "%s: %s\n", id, why);
    if (o->json)
        add(&o->failures, "error", why, id);
}

void
tally_say(const struct tally *o, const char *heading)
{
    if (o->reasons.n == 0)
        return;
    fprintf(stderr, "%s\n", heading);
    put_text(stderr, buf_slice(&o->reasons));
}

static void
put_list(struct buf *object, const char *key, const struct buf *list)
{
    buf_key(object, key);
    buf_c(object, '[');
    buf_str(object, buf_slice(list));
    buf_c(object, ']');
}

void
tally_put(const struct tally *o, bool items, struct buf *object)
{
    if (items)
        put_list(object, "items", &o->items);
    put_list(object, "failures", &o->failures);
}

void
tally_fini(struct tally *o)
{
    buf_free(&o->reasons);
    buf_free(&o->items);
    buf_free(&o->failures);
}

void
object_print(struct buf *object)
{
    buf_z(object, "}\n");
    fwrite(object->p, 1, object->n, stdout);
    buf_free(object);
}
