/* The known facts of a site's pages, in a file of lines of JSON:
 *
 *   {"footnote_sync":1,"site":"https://…/","gateway":"http://…","collection":"docs"}
 *   {"run":"begin","at":1764000000}
 *   {"url":"https://…/a","lastmod":"2026-01-01","etag":"\"x\"","modified":"","sha256":"…","document_id":"…"}
 *   {"url":"https://…/b","gone":true}
 *   {"run":"end"}
 *
 * A line is added as its page is done; the last one of a page counts. One without a digest says that bytes were sent and
 * nothing was heard of them: the page is read again. A run without its end was cut: what it has done is not done
 * again for a day. A whole run writes the file anew beside it and renames it. A line that was cut itself is none. */
#include "client/sync/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/write.h"

#define FILE_MAX ((size_t)256 << 20)
#define RESUME_S 86400

/* ---- the pages by their address */

static size_t *
slot_of(const struct state *s, const char *url)
{
    size_t i;

    for (i = (size_t)hash_str(str_of(url)) & (s->slots - 1);
         s->slot[i] && strcmp(s->v[s->slot[i] - 1].url, url) != 0;)
        i = (i + 1) & (s->slots - 1);
    return &s->slot[i];
}

static void
grow_slots(struct state *s)
{
    if (2 * s->n < s->slots)
        return;
    s->slots = s->slots ? 4 * s->slots : 256;
    mem_free(&s->slot);
    s->slot = mem_new(s->slots * sizeof *s->slot);
    for (size_t i = 0; i < s->n; i++)
        *slot_of(s, s->v[i].url) = i + 1;
}

struct known *
state_find(struct state *s, const char *url)
{
    size_t i = s->slots ? *slot_of(s, url) : 0;

    return i ? &s->v[i - 1] : NULL;
}

struct known *
state_get(struct state *s, const char *url)
{
    struct known *k = state_find(s, url);

    if (k)
        return k;
    grow_slots(s);
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 128;
        s->v = mem_resize(s->v, s->cap * sizeof *s->v);
    }
    k = &s->v[s->n];
    *k = (struct known){
        .url = mem_dup(url), .lastmod = mem_dup(""), .etag = mem_dup(""), .modified = mem_dup("")
    };
    *slot_of(s, url) = ++s->n;
    return k;
}

static void
clear(struct known *k)
{
    mem_free(&k->lastmod);
    mem_free(&k->etag);
    mem_free(&k->modified);
    *k = (struct known){
        .url = k->url, .lastmod = mem_dup(""), .etag = mem_dup(""), .modified = mem_dup("")
    };
}

/* ---- reading */

static void
take(char **at, struct str v)
{
    mem_free(at);
    *at = mem_dup_str(v.p ? v : STR(""));
}

static void
take_page(struct state *s, const json_t *o)
{
    struct str url = json_str(o, "url"), sha = json_str(o, "sha256"), id = json_str(o, "document_id");
    char *z = mem_dup_str(url);
    struct known *k = state_get(s, z);

    clear(k);
    k->done = s->resumed && (sha.n == 64 || json_flag(o, "gone", false));
    if (!json_flag(o, "gone", false)) {
        take(&k->lastmod, json_str(o, "lastmod"));
        take(&k->etag, json_str(o, "etag"));
        take(&k->modified, json_str(o, "modified"));
        if (sha.n == 64)
            memcpy(k->sha256, sha.p, 64);
        if (id.n == 36)
            memcpy(k->document, id.p, 36);
    }
    mem_free(&z);
}

static void
take_line(struct state *s, const json_t *o)
{
    if (str_is(json_str(o, "run"), "begin"))
        s->resumed = clock_wall_ms() / 1000 - json_int(o, "at", 0) < RESUME_S;
    if (str_is(json_str(o, "run"), "end")) {
        s->resumed = false;
        for (size_t i = 0; i < s->n; i++)
            s->v[i].done = false;
    }
    if (json_str(o, "url").n > 0)
        take_page(s, o);
}

/* False: it is of another site. */
static bool
take_text(struct state *s, struct str text, struct str header)
{
    const char *p = text.p, *end = text.p + text.n;

    for (bool first = true; p < end; first = false) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *detail;
        enum json_fault fault;
        json_t *o;

        if (!nl)
            break; /* cut */
        struct str line = { p, (size_t)(nl - p) };

        if (first && !str_eq(line, header))
            return false;
        o = first ? NULL : json_read(line, &fault, &detail);
        if (o)
            take_line(s, o);
        json_decref(o);
        p = nl + 1;
    }
    return true;
}

static bool
read_all(int fd, struct buf *text)
{
    char *block = mem_new(65536);
    ssize_t n;

    while ((n = read(fd, block, 65536)) > 0 && !text->failed)
        buf_add(text, block, (size_t)n);
    mem_free(&block);
    return n == 0 && !text->failed;
}

/* ---- writing */

static bool
add_line(struct state *s, struct str line)
{
    if (write_all(s->fd, line))
        return true;
    say("cannot write %s: %s", s->path, strerror(errno));
    return false;
}

static void
put_page(struct buf *b, const struct known *k)
{
    buf_c(b, '{');
    buf_key_str(b, "url", str_of(k->url));
    buf_key_str(b, "lastmod", str_of(k->lastmod));
    buf_key_str(b, "etag", str_of(k->etag));
    buf_key_str(b, "modified", str_of(k->modified));
    buf_key_str(b, "sha256", str_of(k->sha256));
    buf_key_str(b, "document_id", str_of(k->document));
    buf_z(b, "}\n");
}

bool
state_note(struct state *s, struct known *k)
{
    struct buf line = { 0 };
    bool ok;

    k->done = true;
    put_page(&line, k);
    ok = add_line(s, buf_slice(&line));
    buf_free(&line);
    return ok;
}

bool
state_doubt(struct state *s, struct known *k)
{
    struct buf line = { 0 };
    const struct known was = *k;
    bool ok = true;

    clear(k);
    memcpy(k->document, was.document, sizeof k->document);
    k->seen = was.seen;
    if (*k->document) {
        put_page(&line, k);
        ok = add_line(s, buf_slice(&line));
    }
    buf_free(&line);
    return ok;
}

bool
state_has(const struct known *k)
{
    return k->sha256[0] || k->document[0];
}

bool
state_forget(struct state *s, struct known *k)
{
    struct buf line = { 0 };
    bool ok;

    clear(k);
    k->done = true;
    buf_c(&line, '{');
    buf_key_str(&line, "url", str_of(k->url));
    buf_key_bool(&line, "gone", true);
    buf_z(&line, "}\n");
    ok = add_line(s, buf_slice(&line));
    buf_free(&line);
    return ok;
}

bool
state_begin(struct state *s)
{
    struct buf line = { 0 };
    bool ok = true;

    buf_printf(&line, "{\"run\":\"begin\",\"at\":%lld}\n", (long long)(clock_wall_ms() / 1000));
    if (!s->resumed)
        ok = add_line(s, buf_slice(&line));
    buf_free(&line);
    return ok;
}

/* The file as it is after a whole run. */
static void
put_state(const struct state *s, struct buf *b)
{
    buf_printf(b, "%s\n", s->header);
    for (size_t i = 0; i < s->n; i++)
        if (state_has(&s->v[i]))
            put_page(b, &s->v[i]);
}

bool
state_end(struct state *s)
{
    struct buf path = { 0 }, text = { 0 };
    bool ok = add_line(s, STR("{\"run\":\"end\"}\n"));
    int fd;

    buf_printf(&path, "%s.new", s->path);
    put_state(s, &text);
    fd = ok ? open(path.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || !write_all(fd, buf_slice(&text)) || fsync(fd) != 0 || rename(path.p, s->path) != 0) {
        say("cannot write %s: %s", path.p, strerror(errno));
        ok = false;
    }
    if (fd >= 0)
        close(fd);
    buf_free(&path);
    buf_free(&text);
    return ok;
}

/* ---- opening */

/* The folders of a path, as far as they are missing. */
static void
make_folders(const char *path)
{
    char *z = mem_dup(path);

    for (char *p = strchr(z + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        (void)mkdir(z, 0700);
        *p = '/';
    }
    mem_free(&z);
}

/* A run that ended while we waited for its lock has put another file there. */
static int
open_locked(const char *path, bool *busy)
{
    struct stat mine, there;

    for (int tries = 0; tries < 5; tries++) {
        int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            *busy = errno == EWOULDBLOCK;
            close(fd);
            return -1;
        }
        if (fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino)
            return fd;
        close(fd);
    }
    return -1;
}

bool
state_open(struct state *s, const char *path, struct str header, bool *busy)
{
    struct buf text = BUF_MAX(FILE_MAX);
    bool ok = false;

    *s = (struct state){ .path = mem_dup(path), .header = mem_dup_str(header) };
    *busy = false;
    make_folders(path);
    s->fd = open_locked(path, busy);
    if (s->fd < 0) {
        say(*busy ? "another run keeps %s in step: it has the state file" : "cannot open the state file %s",
            path);
        return false;
    }
    if (!read_all(s->fd, &text)) {
        say("cannot read %s", path);
    } else if (text.n == 0) {
        put_state(s, &text);
        ok = add_line(s, buf_slice(&text));
    } else {
        ok = take_text(s, buf_slice(&text), header);
        if (!ok)
            say("%s is the state of another site, gateway or collection: name another file with --state",
                path);
        else if (text.p[text.n - 1] != '\n')
            ok = add_line(s, STR("\n")); /* a line that was cut ends here */
    }
    buf_free(&text);
    return ok;
}

void
state_fini(struct state *s)
{
    for (size_t i = 0; i < s->n; i++) {
        mem_free(&s->v[i].url);
        mem_free(&s->v[i].lastmod);
        mem_free(&s->v[i].etag);
        mem_free(&s->v[i].modified);
    }
    mem_free(&s->v);
    mem_free(&s->slot);
    mem_free(&s->path);
    mem_free(&s->header);
    if (s->fd >= 0)
        close(s->fd);
}
