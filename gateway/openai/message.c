/* Messages of a chat, or items of a response's input → the question, what was said before it, and what the
 * application says to the model. The last message of a user is the question; answers of assistants stand in
 * the history; system and developer messages are instructions. Content is a string or a list of parts; only
 * text can be asked about. Words of tools are left out: there are none here. */
#include <stdio.h>

#include "gateway/openai/openai.h"

#define MESSAGES_MAX 2048
#define EARLIER_MAX 24 /* messages of the history that are handed on; the prompt takes the newest that fit */
#define EARLIER_BYTES 65536
#define INSTRUCTIONS_BYTES 32768

/* A list that is being read. */
struct reading {
    struct wish *w;
    const char *key; /* messages or input */
    size_t i;        /* which of them */
    struct turn turns[EARLIER_MAX];
    size_t n;        /* turns that came; the last EARLIER_MAX are kept */
    struct str last; /* of a user; absent: none came yet */
    size_t at;       /* turns that came before it */
    size_t where;    /* its place in the list */
    struct fault *f;
};

static bool
wrong(struct reading *m, const char *member, const char *why)
{
    char at[60];

    (void)snprintf(at, sizeof at, "%s/%zu%s%s", m->key, m->i, *member ? "/" : "", member);
    fault_set(m->f, at, "%s", why);
    return false;
}

/* The member of a part that has its text; NULL: it is of another kind. */
static const char *
part_key(const json_t *part)
{
    struct str type = json_str(part, "type");

    if (str_is(type, "text") || str_is(type, "input_text") || str_is(type, "output_text"))
        return "text";
    return str_is(type, "refusal") ? "refusal" : NULL;
}

static struct str
part_text(const json_t *part)
{
    const char *key = part_key(part);

    return key ? json_str(part, key) : STR_NONE;
}

/* Of what kind it is instead. */
static bool
wrong_part(struct reading *m, size_t i, const json_t *part)
{
    struct str type = utf8_cut(json_str(part, "type"), 60);
    const char *why = arena_printf(m->w->r->arena,
                                   "only parts of type text can be asked about (part %zu is " STR_FMT ")",
                                   i + 1, STR_ARG(type.n > 0 ? type : STR("of no type")));

    if (part_key(part))
        why = arena_printf(m->w->r->arena, "part %zu must have a text", i + 1);
    return wrong(m, "content", why ? why : "only parts of type text can be asked about");
}

static bool
take_parts(struct reading *m, const json_t *parts, struct str *out)
{
    struct buf b = BUF_MAX(1048576);
    bool good = true;

    for (size_t i = 0; good && i < json_array_size(parts); i++) {
        struct str text = part_text(json_array_get(parts, i));

        if (!text.p)
            good = wrong_part(m, i, json_array_get(parts, i));
        if (b.n > 0 && text.n > 0)
            buf_c(&b, '\n');
        buf_str(&b, text);
    }
    *out = b.n > 0 ? arena_str(m->w->r->arena, buf_slice(&b)) : STR("");
    if (good && !out->p)
        good = wrong(m, "content", "is too large");
    buf_free(&b);
    return good;
}

static bool
take_content(struct reading *m, const json_t *message, struct str *out)
{
    const json_t *v = json_object_get(message, "content");

    *out = STR("");
    if (!v || json_is_null(v))
        return true; /* a call of a tool has none */
    if (json_is_array(v))
        return take_parts(m, v, out);
    if (!json_is_string(v))
        return wrong(m, "content", "must be a string or a list of parts");
    *out = (struct str){ json_string_value(v), json_string_length(v) };
    return true;
}

bool
instructions_add(struct wish *w, struct str text, const char *key, struct fault *f)
{
    struct str *to = &w->given.instructions;
    char *both;

    text = text_trim(text);
    if (text.n == 0)
        return true;
    if (to->n + text.n + 2 > INSTRUCTIONS_BYTES) {
        fault_set(f, key, "instructions must have at most %d bytes together", INSTRUCTIONS_BYTES);
        return false;
    }
    both = to->n > 0 ? arena_printf(w->r->arena, STR_FMT "\n\n" STR_FMT, STR_ARG(*to), STR_ARG(text)) : NULL;
    *to = both ? str_of(both) : text;
    return true;
}

static void
keep_turn(struct reading *m, const char *role, struct str content)
{
    content = utf8_cut(text_trim(content), EARLIER_BYTES);
    if (content.n == 0)
        return;
    m->turns[m->n++ % EARLIER_MAX] = (struct turn){ .role = str_of(role), .content = content };
}

/* Of a user: the one before it was no question but a turn. */
static void
take_user(struct reading *m, struct str content)
{
    content = text_trim(content);
    if (content.n == 0)
        return;
    if (!m->w->first.p)
        m->w->first = content;
    m->last = content;
    m->at = m->n;
    m->where = m->i;
    keep_turn(m, "user", content);
}

/* Are all lines rows of a list? */
static bool
only_rows(struct str text)
{
    while (text.n > 0) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;

        if (n <= strlen(LIST_ROW) || memcmp(text.p, LIST_ROW, strlen(LIST_ROW)) != 0 ||
            !(text.p[strlen(LIST_ROW)] >= '1' && text.p[strlen(LIST_ROW)] <= '9'))
            return false;
        text.p += n + (end ? 1 : 0);
        text.n -= n + (end ? 1 : 0);
    }
    return true;
}

/* An answer without its list of sources (list.c), which the model would learn to write. */
static struct str
list_cut(struct str said)
{
    struct str text = text_trim(said);

    for (size_t i = text.n; i-- > 0;)
        if (text.n - i > strlen(LIST_RULE) && memcmp(text.p + i, LIST_RULE, strlen(LIST_RULE)) == 0)
            return only_rows((struct str){ text.p + i + strlen(LIST_RULE), text.n - i - strlen(LIST_RULE) })
                       ? (struct str){ text.p, i }
                       : said;
    return said;
}

static bool
take_message(struct reading *m, const json_t *message)
{
    struct str role = json_str(message, "role"), type = json_str(message, "type"), content;

    if (!json_is_object(message))
        return wrong(m, "", "must be an object");
    if (!role.p)
        return type.p && !str_is(type, "message") ? true : wrong(m, "role", "is required");
    if (str_is(role, "tool") || str_is(role, "function"))
        return true; /* whatever it is: nothing here called it */
    if (!take_content(m, message, &content))
        return false;
    if (str_is(role, "system") || str_is(role, "developer"))
        return instructions_add(m->w, content, m->key, m->f);
    if (str_is(role, "user"))
        take_user(m, content);
    else if (str_is(role, "assistant"))
        keep_turn(m, "assistant", list_cut(content));
    else
        return wrong(m, "role", "must be system, developer, user, assistant or tool");
    return true;
}

/* The newest of what came before the question, oldest first. */
static bool
take_earlier(struct reading *m)
{
    size_t oldest = m->n > EARLIER_MAX ? m->n - EARLIER_MAX : 0, n = m->at > oldest ? m->at - oldest : 0;
    struct turn *v = arena_alloc(m->w->r->arena, (n + 1) * sizeof *v);

    if (!v)
        return false;
    for (size_t i = 0; i < n; i++)
        v[i] = m->turns[(oldest + i) % EARLIER_MAX];
    m->w->given.earlier = (struct turns){ v, n };
    return true;
}

bool
messages_take(struct wish *w, const json_t *list, const char *key, struct fault *f)
{
    struct reading m = { .w = w, .key = key, .f = f };
    size_t n = json_array_size(list);

    if (!json_is_array(list) || n < 1 || n > MESSAGES_MAX) {
        fault_set(f, key, "must be a list of 1 to %d messages", MESSAGES_MAX);
        return false;
    }
    for (m.i = 0; m.i < n; m.i++)
        if (!take_message(&m, json_array_get(list, m.i)))
            return false;
    if (!m.last.p) {
        fault_set(f, key, "must have a message of a user that is not empty");
        return false;
    }
    m.i = m.where;
    if (utf8_count(m.last) > QUESTION_CHARS)
        return wrong(&m, "content", "a question must have at most 32000 characters");
    if (!take_earlier(&m)) {
        fault_set(f, key, "is too large");
        return false;
    }
    w->given.text = m.last;
    w->given.told = true;
    return true;
}
