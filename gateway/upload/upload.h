/* Documents on their way to the store: one upload has one job, however many documents it brings. */
#ifndef GATEWAY_UPLOAD_UPLOAD_H
#define GATEWAY_UPLOAD_UPLOAD_H

#include <jansson.h>

#include "gateway/request/handler.h"

#define UPLOAD_RECORDS 2000  /* in one request */
#define UPLOAD_WINDOW 2      /* calls of the store at once: those of one job take turns at its row */
#define UPLOAD_TRIES 6       /* of a call that found the database busy */
#define UPLOAD_MANY 64       /* documents of one call */
#define UPLOAD_BYTES 1000000 /* and of their texts; one goes whatever its size */
#define UPLOAD_ERRORS 100    /* listed in the answer; the rest is only counted */

/* Documents that go together: one transaction of the store, one collection, each id once. */
struct lot {
    struct call *call; /* owned */
    size_t n, bytes;
    struct document_put_req item[UPLOAD_MANY];
    size_t line[UPLOAD_MANY];  /* of the record; 0: not lines */
    json_t *json[UPLOAD_MANY]; /* the item's memory; NULL: it is somebody else's */
};

struct upload {
    struct request *r;
    struct str collection; /* for records that name none */
    struct lot *pending[UPLOAD_WINDOW];
    size_t n_pending;
    struct lot *lot;             /* being filled */
    struct uuid job_id;          /* nil until the first document was taken */
    struct uuid first;           /* its id */
    struct str first_collection; /* and where it is */
    bool mixed;                  /* more than one collection */
    size_t taken, unchanged, refused;
    size_t minted;          /* ids made for documents that came without one */
    struct buf ids;         /* JSON strings, comma separated */
    struct buf errors;      /* JSON objects, comma separated */
    struct outcome failure; /* the first error of the store */
    bool stopped;           /* the store failed: nothing more is sent */
};

void upload_init(struct upload *u, struct request *r, struct str collection);
void upload_fini(struct upload *u);
/* Give one document to the store. Its slices must live until upload_flush, in json (which is taken) or
 * elsewhere (NULL). line: 0, or where a fault is reported. */
void upload_put(struct upload *u, struct document_put_req *req, size_t line, json_t *json);
void upload_refuse(struct upload *u, size_t line, const struct fault *f);
/* Wait for what is under way. */
void upload_flush(struct upload *u);
/* 202 with the job, or with ?wait=1 200 when it is searchable; the failure when nothing was taken. */
void upload_reply(struct upload *u);

#endif
