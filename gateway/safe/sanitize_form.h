/* Forms of Markdown, for sanitize.c: pure functions over bytes. n: how many are there; end: none will follow. */
#ifndef GATEWAY_SAFE_SANITIZE_FORM_H
#define GATEWAY_SAFE_SANITIZE_FORM_H

#include "gateway/safe/sanitize.h"

#define TEXT_LOOK 1000u    /* of a link's text, of a code span */
#define ADDRESS_LOOK 2100u /* of an address with its title */
#define NEST 16            /* brackets in brackets */

enum form { FORM_MORE, FORM_LINK, FORM_ODD };

struct target {
    struct str address;
    size_t n; /* bytes with both parentheses */
};

size_t form_ticks(const char *p, size_t n); /* length of a run of backticks */
/* Bytes of the code span that begins at p; 0: none. *more: its line has not come far enough to tell. */
size_t form_span(const char *p, size_t n, bool end, bool *more);
size_t form_spaces(const char *p, size_t n); /* white space with one line feed at most */
/* Bytes of an address: up to white space or the parenthesis that is not its own; with < up to >. */
size_t form_address_len(const char *p, size_t n);
/* The form at p[0] == '(': a link's target, or something that only a lenient reader would take for one. */
enum form form_target(const char *p, size_t n, bool end, struct target *t);
bool form_clean(const struct target *t,
                const char *p); /* nothing in those parentheses begins anything else */
/* The bracket that closes the one at p[i]; 0: none near. *more: not known yet. */
size_t form_bracket(const char *p, size_t n, size_t i, bool end, bool *more);
size_t form_autolink(const char *p, size_t n, bool end, bool *more); /* bytes of <scheme:…>, or 0 */
size_t form_scheme(const char *p, size_t n, bool end, bool *more); /* of http:// https:// ftp:// www., or 0 */
size_t form_url_len(const char *p, size_t n);

#endif
