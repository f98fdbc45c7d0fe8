/* POST /documents, in four forms: a JSON object, JSON Lines, a file as the body, multipart/form-data with files. The forms
 * only differ in how they are read; record.c checks what they hold and upload/batch.c takes it to the store. */
#include "gateway/api/api.h"
#include "gateway/upload/jsonl.h"
#include "gateway/upload/multipart.h"
#include "gateway/upload/record.h"
#include "gateway/upload/upload.h"
#include "gateway/admit/auth.h"

static void
put_object(struct upload *u)
{
    struct document_put_req req;
    struct fault f;
    json_t *o = request_json(u->r, record_keys);

    if (!o)
        return;
    if (!record_parse(o, u->r->arena, &req, &f)) {
        reply_fault(u->r, &f);
    } else if (!req.collection.p || api_collection(u->r, req.collection, &req.collection)) {
        upload_put(u, &req, 0, NULL);
        upload_reply(u);
    }
    json_decref(o);
}

static void
take_line(struct upload *u, struct str line, size_t n)
{
    struct document_put_req req;
    json_t *o = NULL;
    struct fault f;

    if (record_line(line, u->r->arena, &o, &req, &f)) {
        upload_put(u, &req, n, o);
    } else {
        upload_refuse(u, n, &f);
        json_decref(o);
    }
}

static void
put_lines(struct upload *u)
{
    struct jsonl j = { .left = u->r->body };
    struct str line;
    size_t n = 0;

    while (jsonl_next(&j, &line))
        n++;
    if (n == 0 || n > UPLOAD_RECORDS) {
        reply_problem(u->r, ERR_VALIDATION,
                      n == 0 ? "the body has no records"
                             : "at most 2000 records in one request; send the rest in another");
        return;
    }
    j = (struct jsonl){ .left = u->r->body };
    while (jsonl_next(&j, &line))
        take_line(u, line, j.line);
    upload_reply(u);
}

static void
unsupported(struct request *r)
{
    reply_problem(r, ERR_MEDIA_TYPE,
                  arena_printf(r->arena,
                               "supported are application/json, application/jsonl, application/x-ndjson, "
                               "multipart/form-data with files, and a file of a supported format itself: %s",
                               record_types()));
}

/* Fields of an upload's query or form, through the same checks as a record's. */
static bool
put_file(struct upload *u, json_t *fields, enum format format, struct str filename, struct str body)
{
    struct document_put_req req;
    struct fault f;

    json_object_set_new(fields, "text", json_string("-")); /* the text itself stays outside of JSON */
    if (!record_parse(fields, u->r->arena, &req, &f)) {
        reply_fault(u->r, &f);
        return false;
    }
    if (req.collection.p && !api_collection(u->r, req.collection, &req.collection))
        return false;
    req.mime = str_of(formats[format].type);
    req.body = body;
    if (!req.external_id.p && filename.n > 0)
        req.external_id = filename;
    if (!req.title.p && filename.n > 0 && formats[format].named)
        req.title = text_chars(record_basename(filename), 200);
    upload_put(u, &req, 0, NULL);
    return true;
}

static const char *const field_names[] = { "id", "title", "collection", "url", "chapter", "section", NULL };

static void
field_set(json_t *fields, const char *key, struct str v)
{
    if (v.p && v.n > 0)
        json_object_set_new(fields, key, json_stringn(v.p, v.n)); /* not UTF-8: not set */
}

/* Metadata of a query or form: JSON. false: answered. */
static bool
metadata_set(struct request *r, json_t *fields, struct str v)
{
    enum json_fault fault;
    const char *detail;
    json_t *meta;

    if (!v.p)
        return true;
    meta = json_read_most(v, JSON_BODY_VALUES, &fault, &detail);
    if (!json_is_object(meta)) {
        json_decref(meta);
        reply_invalid(r, "/metadata", "must be a JSON object");
        return false;
    }
    json_object_set_new(fields, "metadata", meta);
    return true;
}

static void
put_raw(struct upload *u)
{
    struct request *r = u->r;
    struct str named = request_param(r, "filename");
    struct str filename = record_basename(named.n > 0 ? named : request_header(r, "X-Filename"));
    struct fault f;
    bool known;
    enum format format = record_format(r->content_type, filename, r->body, &known, &f);
    json_t *fields;

    if (format == FORMAT_NONE) {
        if (known)
            reply_fault(r, &f);
        else
            unsupported(r);
        return;
    }
    if (filename.n > 0 && !utf8_valid(filename))
        filename = STR_NONE;
    fields = json_object();
    for (size_t i = 0; field_names[i]; i++)
        field_set(fields, field_names[i], request_param(r, field_names[i]));
    if (metadata_set(r, fields, request_param(r, "metadata")) &&
        put_file(u, fields, format, filename, r->body))
        upload_reply(u);
    json_decref(fields);
}

/* One field of a form. false: answered. */
static bool
form_field(struct request *r, const struct part *p, json_t *fields)
{
    if (str_is(p->name, "metadata"))
        return metadata_set(r, fields, p->body);
    for (size_t i = 0; field_names[i]; i++) {
        if (str_is(p->name, field_names[i])) {
            field_set(fields, field_names[i], p->body);
            return true;
        }
    }
    reply_invalid(r, "/form", "fields are id, title, collection, url, chapter, section, metadata, and files");
    return false;
}

/* A file of a form is refused by its name. false: answered. */
static bool
form_file(struct request *r, const struct part *p)
{
    struct str shown = utf8_cut(utf8_valid(p->filename) ? p->filename : STR("?"), 200);
    struct fault f = { 0 };
    enum err e = ERR_VALIDATION;
    const char *why;
    bool known;

    if (record_format(p->type, p->filename, p->body, &known, &f) == FORMAT_NONE)
        e = known ? ERR_VALIDATION : ERR_MEDIA_TYPE;
    else if (utf8_count(p->filename) <= RECORD_ID_CHARS || !utf8_valid(p->filename))
        return true;
    else
        (void)snprintf(f.detail, sizeof f.detail, "%s",
                       "its path is its id and must have at most 500 characters: give it an id of its own");
    why = arena_printf(r->arena, "the file \"" STR_FMT "\": %s", STR_ARG(shown), f.detail);
    if (e == ERR_MEDIA_TYPE)
        reply_problem(r, e, why);
    else
        reply_invalid(r, "/form", why);
    return false;
}

/* Two files of one name would be one document, and the second would replace the first without a word. false: answered. */
static bool
form_name(struct request *r, struct str *names, size_t n, struct str name)
{
    names[n] = name;
    for (size_t i = 0; i < n && name.n > 0; i++)
        if (str_eq(names[i], name)) {
            struct str shown = utf8_cut(utf8_valid(name) ? name : STR("?"), 100);

            reply_invalid(
                r, "/form",
                arena_printf(
                    r->arena,
                    "files %zu and %zu of the form are both named \"" STR_FMT "\" and would be one document: "
                    "send their folders along (filename=\"folder/name\"), or each by itself with its own id",
                    i + 1, n + 1, STR_ARG(shown)));
            return false;
        }
    return true;
}

/* First pass: the fields, and whether every file can be taken: all are, or none. false: answered. */
static bool
form_fields(struct request *r, struct str boundary, json_t *fields, size_t *files)
{
    struct str *names = arena_alloc(r->arena, MULTIPART_PARTS * sizeof *names);
    struct multipart m;
    struct part p;
    enum multipart_step step = MULTIPART_BAD;

    *files = 0;
    if (!names) {
        reply_problem(r, ERR_INTERNAL, NULL);
        return false;
    }
    if (multipart_init(&m, r->body, boundary)) {
        while ((step = multipart_next(&m, r->arena, &p)) == MULTIPART_PART) {
            if (!(p.filename.p ? form_file(r, &p) : form_field(r, &p, fields)))
                return false;
            if (p.filename.p && !form_name(r, names, (*files)++, record_path(p.filename, r->arena)))
                return false;
        }
    }
    if (step == MULTIPART_BAD || *files == 0) {
        reply_problem(r, ERR_BAD_REQUEST, step == MULTIPART_BAD ? m.fault : "the form has no file");
        return false;
    }
    if (*files > 1 && (json_object_get(fields, "id") || json_object_get(fields, "title"))) {
        reply_invalid(r, "/id", "id and title can only be given with a single file");
        return false;
    }
    return true;
}

static void
form_files(struct upload *u, struct str boundary, json_t *fields)
{
    struct multipart m;
    struct part p;

    multipart_init(&m, u->r->body, boundary);
    while (multipart_next(&m, u->r->arena, &p) == MULTIPART_PART) {
        struct str name = record_path(p.filename, u->r->arena);
        struct fault f;
        bool known;
        enum format format = p.filename.p ? record_format(p.type, name, p.body, &known, &f) : FORMAT_NONE;

        if (format != FORMAT_NONE && !put_file(u, fields, format, utf8_valid(name) ? name : STR_NONE, p.body))
            return;
    }
    upload_reply(u);
}

static void
put_form(struct upload *u)
{
    struct str boundary;
    json_t *fields;
    size_t files;

    if (!u->r->body.p || !multipart_boundary(request_header(u->r, "Content-Type"), &boundary)) {
        reply_problem(u->r, ERR_BAD_REQUEST, "multipart/form-data needs a boundary parameter and a body");
        return;
    }
    fields = json_object();
    if (form_fields(u->r, boundary, fields, &files))
        form_files(u, boundary, fields);
    json_decref(fields);
}

void
route_document_put(struct request *r)
{
    struct str collection, type = r->content_type;
    struct upload *u;

    if (!api_collection(r, request_param(r, "collection"), &collection))
        return;
    if (!r->body.p || r->body.n == 0) {
        reply_problem(r, ERR_BAD_REQUEST, "a document is needed as the body");
        return;
    }
    u = mem_new(sizeof *u);
    upload_init(u, r, collection);
    if (request_param(r, "filename").n > 0) /* a file, even one of JSON */
        put_raw(u);
    else if (!type.p || str_is(type, "application/json"))
        put_object(u);
    else if (str_is(type, "application/jsonl") || str_is(type, "application/x-ndjson"))
        put_lines(u);
    else if (str_is(type, "multipart/form-data"))
        put_form(u);
    else
        put_raw(u);
    upload_fini(u);
    mem_free(&u);
}
