/* The commands for who runs a suite: doctor, status, keys, sessions. */
#ifndef CLIENT_ADMIN_ADMIN_H
#define CLIENT_ADMIN_ADMIN_H

#include "client/client.h"

/* ---- doctor.c: what was looked at, and what to do about it */
enum grade { GRADE_OK, GRADE_NOTE, GRADE_WARN, GRADE_FAIL, GRADES };
struct doctor {
    struct cli *cli;
    size_t n[GRADES];
    struct buf json;  /* with --json: the findings so far, as members of an array */
    char version[64]; /* of the gateway; "": it does not answer */
};
/* Say one finding of a check. advice: NULL when there is nothing to do. */
void doctor_found(struct doctor *d, enum grade grade, const char *check, const char *advice, const char *fmt,
                  ...) __attribute__((format(printf, 5, 6)));

/* ---- examine.c: through the public API */
void examine_api(struct doctor *d);

/* ---- gauge.c: through the services' internal ports: addresses that commas separate */
void gauge_all(struct doctor *d, const char *addresses);
/* The findings of one page of metrics (Prometheus' text format), by gauge.tbl; from: for people. */
void gauge_page(struct doctor *d, const char *from, struct str page);

/* ---- key.c */
#define KEY_SOON_MS (14 * CLOCK_DAY_MS) /* a key that ends within that time wants a successor */
/* A time as the API writes it, in ms since 1970. -1: it is none. */
int64_t admin_time_ms(struct str s);

#endif
