/* The table-driven codec. Writing goes through msgpack-c's packer; reading is our own cursor, because the pre-scan
 * that must come before any msgpack decoder (five bytes can reserve 8 GiB) already reads every token.
 *
 *   bytes → msg_scan (complete, counts fit, depth, objects) → map keys → field of the table → struct
 */
#include "proto/msg.h"

#include <msgpack.h>
#include <stdio.h>

#define DEPTH_MAX 16

static _Thread_local char fault[160];

const char *
msg_fault(void)
{
    return fault;
}

static enum err
fail(enum err e, const struct msg_desc *d, const char *field, const char *what)
{
    snprintf(fault, sizeof fault, "%s.%s: %s", d ? d->name : "message", field, what);
    return e;
}

/* ---- reading */

enum tok { TOK_NIL, TOK_BOOL, TOK_INT, TOK_FLOAT, TOK_STR, TOK_BIN, TOK_EXT, TOK_ARRAY, TOK_MAP };

struct token {
    enum tok t;
    int64_t i;      /* TOK_INT, TOK_BOOL */
    double d;       /* TOK_FLOAT */
    struct str s;   /* TOK_STR, TOK_BIN, TOK_EXT */
    uint32_t count; /* TOK_ARRAY: entries; TOK_MAP: pairs */
};

struct cursor {
    const uint8_t *p;
    const uint8_t *end;
};

static bool
take_be(struct cursor *c, size_t bytes, uint64_t *v)
{
    if ((size_t)(c->end - c->p) < bytes)
        return false;
    *v = 0;
    for (size_t i = 0; i < bytes; i++)
        *v = *v << 8 | *c->p++;
    return true;
}

static bool
take_bytes(struct cursor *c, struct token *t, enum tok kind, size_t n)
{
    if ((size_t)(c->end - c->p) < n)
        return false;
    t->t = kind;
    t->s = (struct str){ (const char *)c->p, n };
    c->p += n;
    return true;
}

static bool
take_sized(struct cursor *c, struct token *t, enum tok kind, size_t len_bytes, size_t extra)
{
    uint64_t n;

    return take_be(c, len_bytes, &n) && take_bytes(c, t, kind, (size_t)n + extra);
}

/* Entries of a container must fit the bytes left: each needs at least one (a pair: two). */
static bool
take_count(struct cursor *c, struct token *t, enum tok kind, uint64_t n)
{
    size_t left = (size_t)(c->end - c->p);

    t->t = kind;
    t->count = (uint32_t)n;
    return kind == TOK_MAP ? n <= left / 2 : n <= left;
}

static bool
take_int(struct cursor *c, struct token *t, size_t bytes, bool is_signed)
{
    uint64_t v;

    if (!take_be(c, bytes, &v))
        return false;
    t->t = TOK_INT;
    if (is_signed) {
        unsigned shift = (unsigned)(64 - 8 * bytes);

        t->i = (int64_t)(v << shift) >> shift;
    } else {
        if (v > INT64_MAX)
            return false;
        t->i = (int64_t)v;
    }
    return true;
}

static bool
take_float(struct cursor *c, struct token *t, size_t bytes)
{
    uint64_t v;

    if (!take_be(c, bytes, &v))
        return false;
    t->t = TOK_FLOAT;
    if (bytes == 4) {
        uint32_t w = (uint32_t)v;
        float f;

        memcpy(&f, &w, 4);
        t->d = (double)f;
    } else {
        memcpy(&t->d, &v, 8);
    }
    return true;
}

/* Tokens 0xc0 … 0xdf of the msgpack specification. */
static bool
take_typed(struct cursor *c, struct token *t, uint8_t b)
{
    uint64_t n;

    switch (b) {
    case 0xc0: t->t = TOK_NIL; return true;
    case 0xc2:
    case 0xc3:
        t->t = TOK_BOOL;
        t->i = b & 1;
        return true;
    case 0xc4:
    case 0xc5:
    case 0xc6: return take_sized(c, t, TOK_BIN, (size_t)1 << (b - 0xc4), 0);
    case 0xc7:
    case 0xc8:
    case 0xc9: return take_sized(c, t, TOK_EXT, (size_t)1 << (b - 0xc7), 1);
    case 0xca: return take_float(c, t, 4);
    case 0xcb: return take_float(c, t, 8);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: return take_int(c, t, (size_t)1 << (b - 0xcc), false);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3: return take_int(c, t, (size_t)1 << (b - 0xd0), true);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: return take_bytes(c, t, TOK_EXT, ((size_t)1 << (b - 0xd4)) + 1);
    case 0xd9:
    case 0xda:
    case 0xdb: return take_sized(c, t, TOK_STR, (size_t)1 << (b - 0xd9), 0);
    case 0xdc:
    case 0xdd: return take_be(c, b == 0xdc ? 2 : 4, &n) && take_count(c, t, TOK_ARRAY, n);
    case 0xde:
    case 0xdf: return take_be(c, b == 0xde ? 2 : 4, &n) && take_count(c, t, TOK_MAP, n);
    default: return false;
    }
}

static bool
take(struct cursor *c, struct token *t)
{
    uint8_t b;

    if (c->p >= c->end)
        return false;
    b = *c->p++;
    if (b <= 0x7f || b >= 0xe0) {
        t->t = TOK_INT;
        t->i = (int8_t)b;
        return true;
    }
    if (b <= 0x8f)
        return take_count(c, t, TOK_MAP, b & 0x0f);
    if (b <= 0x9f)
        return take_count(c, t, TOK_ARRAY, b & 0x0f);
    if (b <= 0xbf)
        return take_bytes(c, t, TOK_STR, b & 0x1f);
    return take_typed(c, t, b);
}

/* Step over one whole value. */
static bool
skip(struct cursor *c, size_t *objects)
{
    uint64_t left[DEPTH_MAX];
    int depth = 0;
    struct token t;

    left[0] = 1;
    while (depth >= 0) {
        if (left[depth] == 0) {
            depth--;
            continue;
        }
        left[depth]--;
        if (*objects == 0 || !take(c, &t))
            return false;
        --*objects;
        if (t.t == TOK_ARRAY || t.t == TOK_MAP) {
            if (depth + 1 >= DEPTH_MAX)
                return false;
            left[++depth] = t.t == TOK_MAP ? 2 * (uint64_t)t.count : t.count;
        }
    }
    return true;
}

bool
msg_scan(const void *p, size_t n, size_t max_objects)
{
    struct cursor c = { p, (const uint8_t *)p + n };

    return n > 0 && skip(&c, &max_objects) && c.p == c.end;
}

static enum err read_map(struct cursor *c, const struct msg_desc *d, struct arena *a, char *out);

static enum err
read_strs(struct cursor *c, const struct msg_desc *d, const struct field_desc *f, struct arena *a,
          uint32_t count, struct strs *out)
{
    struct token t;

    if (count > f->max)
        return fail(ERR_BAD_FRAME, d, f->name, "too many entries");
    out->n = count;
    if (!(out->v = arena_alloc(a, (count ? count : 1) * sizeof *out->v)))
        return fail(ERR_BAD_FRAME, d, f->name, "too large");
    for (uint32_t i = 0; i < count; i++) {
        if (!take(c, &t) || t.t != TOK_STR || !utf8_valid(t.s))
            return fail(ERR_BAD_FRAME, d, f->name, "an entry is not a UTF-8 string");
        out->v[i] = t.s;
    }
    return ERR_OK;
}

static enum err
read_list(struct cursor *c, const struct msg_desc *d, const struct field_desc *f, struct arena *a,
          uint32_t count, char *at)
{
    const struct msg_desc *rec = f->rec();
    struct {
        void *v;
        size_t n;
    } list = { NULL, count };

    /* every record has a required field: at least four bytes */
    if (count > f->max || (size_t)(c->end - c->p) < (size_t)count * 4)
        return fail(ERR_BAD_FRAME, d, f->name, "too many entries");
    if (!(list.v = arena_alloc(a, (count ? count : 1) * rec->size)))
        return fail(ERR_BAD_FRAME, d, f->name, "too large");
    for (uint32_t i = 0; i < count; i++) {
        enum err e = read_map(c, rec, a, (char *)list.v + i * rec->size);

        if (e)
            return e;
    }
    memcpy(at, &list, sizeof list);
    return ERR_OK;
}

static enum err
read_bytes(const struct msg_desc *d, const struct field_desc *f, const struct token *t, char *at)
{
    if (t->t != (f->type == FT_str ? TOK_STR : TOK_BIN))
        return fail(ERR_BAD_FRAME, d, f->name, "wrong type");
    if (t->s.n > f->max)
        return fail(ERR_BAD_FRAME, d, f->name, "too long");
    if (f->type == FT_str && !utf8_valid(t->s))
        return fail(ERR_BAD_FRAME, d, f->name, "not UTF-8");
    memcpy(at, &t->s, sizeof t->s);
    return ERR_OK;
}

static enum err
read_number(const struct msg_desc *d, const struct field_desc *f, const struct token *t, char *at)
{
    if (f->type == FT_i64 && t->t == TOK_INT && (f->max == 0 || (t->i >= 0 && (uint64_t)t->i <= f->max))) {
        memcpy(at, &t->i, sizeof t->i);
    } else if (f->type == FT_f64 && (t->t == TOK_FLOAT || t->t == TOK_INT)) {
        double v = t->t == TOK_FLOAT ? t->d : (double)t->i;

        memcpy(at, &v, sizeof v);
    } else if (f->type == FT_flag && t->t == TOK_BOOL) {
        *(bool *)at = t->i != 0;
    } else {
        return fail(ERR_BAD_FRAME, d, f->name, "wrong type or out of range");
    }
    return ERR_OK;
}

static enum err
read_field(struct cursor *c, const struct msg_desc *d, const struct field_desc *f, struct arena *a, char *at)
{
    struct token t;

    if (!take(c, &t))
        return fail(ERR_BAD_FRAME, d, f->name, "truncated");
    if (t.t == TOK_NIL && !f->required)
        return ERR_OK;
    switch (f->type) {
    case FT_str:
    case FT_bin: return read_bytes(d, f, &t, at);
    case FT_id:
        if (t.t != TOK_BIN || t.s.n != 16)
            return fail(ERR_BAD_FRAME, d, f->name, "not 16 bytes");
        if (f->required && memcmp(t.s.p, (const char[16]){ 0 }, 16) == 0)
            return fail(ERR_BAD_FRAME, d, f->name, "an id of zeros is none"); /* nor could it be said again */
        memcpy(at, t.s.p, 16);
        return ERR_OK;
    case FT_strs:
        return t.t == TOK_ARRAY ? read_strs(c, d, f, a, t.count, (struct strs *)(void *)at)
                                : fail(ERR_BAD_FRAME, d, f->name, "not a list");
    case FT_list:
        return t.t == TOK_ARRAY ? read_list(c, d, f, a, t.count, at)
                                : fail(ERR_BAD_FRAME, d, f->name, "not a list");
    default: return read_number(d, f, &t, at);
    }
}

/* Fields mostly come in table order: look from where the last one was found. */
static const struct field_desc *
find_field(const struct msg_desc *d, struct str key, size_t *from)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct field_desc *f = &d->fields[(*from + i) % d->n];

        if (str_is(key, f->name)) {
            *from = (size_t)(f - d->fields) + 1;
            return f;
        }
    }
    return NULL;
}

static enum err
read_map(struct cursor *c, const struct msg_desc *d, struct arena *a, char *out)
{
    uint64_t seen = 0;
    size_t from = 0;
    struct token t;
    uint32_t pairs;

    if (!take(c, &t) || t.t != TOK_MAP)
        return fail(ERR_BAD_FRAME, d, "", "not a map");
    pairs = t.count;
    for (uint32_t i = 0; i < pairs; i++) {
        const struct field_desc *f;
        size_t objects = SIZE_MAX;
        uint64_t bit;
        enum err e;

        if (!take(c, &t) || t.t != TOK_STR)
            return fail(ERR_BAD_FRAME, d, "", "a key is not a string");
        if (!(f = find_field(d, t.s, &from))) {
            if (!skip(c, &objects))
                return fail(ERR_BAD_FRAME, d, "", "truncated");
            continue;
        }
        bit = (uint64_t)1 << (f - d->fields);
        if (seen & bit)
            return fail(ERR_BAD_FRAME, d, f->name, "given twice");
        if ((e = read_field(c, d, f, a, out + f->offset)))
            return e;
        seen |= bit;
    }
    for (size_t i = 0; i < d->n; i++)
        if (d->fields[i].required && !(seen & ((uint64_t)1 << i)))
            return fail(ERR_BAD_FRAME, d, d->fields[i].name, "missing");
    return ERR_OK;
}

enum err
msg_decode(const struct msg_desc *desc, const void *p, size_t n, struct arena *a, void *out)
{
    struct cursor c = { p, (const uint8_t *)p + n };

    fault[0] = '\0';
    if (!desc)
        return ERR_OK;
    memset(out, 0, desc->size);
    if (n == 0 || !msg_scan(p, n, 400000))
        return fail(ERR_BAD_FRAME, desc, "", "not one complete msgpack value within the limits");
    return read_map(&c, desc, a, out);
}

/* ---- writing */

static int
write_buf(void *data, const char *p, size_t n)
{
    buf_add(data, p, n);
    return 0;
}

static enum err write_map(msgpack_packer *pk, const struct msg_desc *d, const char *in);

static bool
is_absent(const struct field_desc *f, const char *at)
{
    static const char zero[32];

    switch (f->type) {
    case FT_str:
    case FT_bin: return !((const struct str *)(const void *)at)->p;
    case FT_strs: return ((const struct strs *)(const void *)at)->n == 0;
    case FT_list: return memcmp(at + sizeof(void *), zero, sizeof(size_t)) == 0;
    case FT_id: return memcmp(at, zero, 16) == 0;
    case FT_flag: return !*(const bool *)at;
    default: return memcmp(at, zero, 8) == 0;
    }
}

static void
pack_str(msgpack_packer *pk, struct str s)
{
    msgpack_pack_str(pk, s.n);
    msgpack_pack_str_body(pk, s.p ? s.p : "", s.n);
}

static enum err
write_list(msgpack_packer *pk, const struct msg_desc *d, const struct field_desc *f, const char *at)
{
    const struct msg_desc *rec = f->rec();
    struct {
        const char *v;
        size_t n;
    } list;

    memcpy(&list, at, sizeof list);
    if (list.n > f->max)
        return fail(ERR_VALIDATION, d, f->name, "too many entries");
    msgpack_pack_array(pk, list.n);
    for (size_t i = 0; i < list.n; i++) {
        enum err e = write_map(pk, rec, list.v + i * rec->size);

        if (e)
            return e;
    }
    return ERR_OK;
}

static enum err
write_strs(msgpack_packer *pk, const struct msg_desc *d, const struct field_desc *f, const struct strs *s)
{
    if (s->n > f->max)
        return fail(ERR_VALIDATION, d, f->name, "too many entries");
    msgpack_pack_array(pk, s->n);
    for (size_t i = 0; i < s->n; i++)
        pack_str(pk, s->v[i]);
    return ERR_OK;
}

static enum err
write_bytes(msgpack_packer *pk, const struct msg_desc *d, const struct field_desc *f, struct str s)
{
    if (s.n > f->max)
        return fail(ERR_VALIDATION, d, f->name, "too long");
    if (f->type == FT_str) {
        pack_str(pk, s);
    } else {
        msgpack_pack_bin(pk, s.n);
        msgpack_pack_bin_body(pk, s.p ? s.p : "", s.n);
    }
    return ERR_OK;
}

static enum err
write_field(msgpack_packer *pk, const struct msg_desc *d, const struct field_desc *f, const char *at)
{
    int64_t i;
    double v;

    switch (f->type) {
    case FT_str:
    case FT_bin: return write_bytes(pk, d, f, *(const struct str *)(const void *)at);
    case FT_strs: return write_strs(pk, d, f, (const struct strs *)(const void *)at);
    case FT_list: return write_list(pk, d, f, at);
    case FT_id:
        msgpack_pack_bin(pk, 16);
        msgpack_pack_bin_body(pk, at, 16);
        return ERR_OK;
    case FT_flag:
        if (*(const bool *)at)
            msgpack_pack_true(pk);
        else
            msgpack_pack_false(pk);
        return ERR_OK;
    case FT_f64:
        memcpy(&v, at, sizeof v);
        msgpack_pack_double(pk, v);
        return ERR_OK;
    default:
        memcpy(&i, at, sizeof i);
        msgpack_pack_int64(pk, i);
        return ERR_OK;
    }
}

static enum err
write_map(msgpack_packer *pk, const struct msg_desc *d, const char *in)
{
    size_t count = 0;

    for (size_t i = 0; i < d->n; i++) {
        const struct field_desc *f = &d->fields[i];

        if (!is_absent(f, in + f->offset))
            count++;
        else if (f->required && (f->type == FT_id))
            return fail(ERR_VALIDATION, d, f->name, "missing");
        else if (f->required)
            count++;
    }
    msgpack_pack_map(pk, count);
    for (size_t i = 0; i < d->n; i++) {
        const struct field_desc *f = &d->fields[i];
        enum err e;

        if (!f->required && is_absent(f, in + f->offset))
            continue;
        pack_str(pk, str_of(f->name));
        if ((e = write_field(pk, d, f, in + f->offset)))
            return e;
    }
    return ERR_OK;
}

enum err
msg_encode(const struct msg_desc *desc, const void *msg, struct buf *out)
{
    size_t at = out->n;
    msgpack_packer pk;
    enum err e = ERR_OK;

    fault[0] = '\0';
    msgpack_packer_init(&pk, out, write_buf);
    if (desc)
        e = write_map(&pk, desc, msg);
    else
        msgpack_pack_map(&pk, 0);
    if (e == ERR_OK && out->failed)
        e = fail(ERR_VALIDATION, desc, "", "too large");
    if (e)
        out->n = at;
    return e;
}
