/* Filters of a search: a JSON object, compiled once before anything is scored.
 *   {"lang": "en", "year": {"gte": 2020, "lt": 2024}, "tag": ["a", "b"], "chapter": "Setup", "document": "guide-1"}
 * All members must hold. A value: equal (of the same type); a list: any of them; an object with gte, gt, lte, lt: a range
 * of numbers, or of strings by bytes (RFC 3339 times sort that way). A metadata field that is a list matches when one
 * of its elements does. The names chapter, section, document (id or the client's id), title and url mean the passage's
 * own fields, everything else the document's metadata. */
#ifndef RETRIEVER_FILTER_H
#define RETRIEVER_FILTER_H

#include <jansson.h>

#include "common/mem.h"

struct filter;

struct filter_view {        /* the fields of a passage for a filter; borrowed */
    const json_t *metadata; /* object or NULL */
    struct str id;          /* document id as text */
    struct str external_id; /* the client's id */
    struct str title, url;
    struct str chapter, section; /* of the chunk */
};

/* NULL with *why set (static text) when it is not a filter. Empty text or {}: a filter that everything passes. */
struct filter *filter_new(struct str json, const char **why);
void filter_free(struct filter **f);
bool filter_document(const struct filter *f, const struct filter_view *v); /* all but chapter and section */
bool filter_chunk(const struct filter *f, const struct filter_view *v);    /* chapter and section only */
bool filter_has_chunk(const struct filter *f); /* does it name chapter or section */

bool filter_any(const struct filter *f); /* does it ask for anything */

/* For an engine that says it in words of its own: condition i, false: there is no such one. */
enum filter_field { FILTER_META, FILTER_DOCUMENT, FILTER_TITLE, FILTER_URL, FILTER_CHAPTER, FILTER_SECTION };
struct filter_condition {
    enum filter_field field; /* the field that it looks at */
    const char *key;         /* FILTER_META: the member */
    const json_t *want;      /* scalar, list or range */
};
const struct filter_condition *filter_at(const struct filter *f, size_t i); /* NULL: there are no more */

#endif
