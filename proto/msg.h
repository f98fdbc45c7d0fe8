/* Messages of the bus: structs, strict encoders and decoders, all derived from msg.tbl.
 * A decoded message borrows from the bytes it came from (slices) and from the arena (lists); it dies with them. */
#ifndef PROTO_MSG_H
#define PROTO_MSG_H

#include "common/mem.h"
#include "common/text/text.h"
#include "proto/err.h"

struct strs {
    struct str *v; /* the strings */
    size_t n;      /* how many */
};

#define MSG_C_str struct str
#define MSG_C_bin struct str
#define MSG_C_strs struct strs
#define MSG_C_i64 int64_t
#define MSG_C_f64 double
#define MSG_C_flag bool
#define MSG_C_id struct uuid

enum { MODEL_DOCUMENTS = 64 }; /* that lack a set: of a model_claim, and parts of a model_put */
enum { KEYS_USED = 500 };      /* of a key_used_req */

struct msg_desc;
#define MSG_TBL "proto/msg.tbl"
#include "proto/msg_decl.h"

enum field_type { FT_str, FT_bin, FT_strs, FT_i64, FT_f64, FT_flag, FT_id, FT_list };

struct field_desc {
    const char *name; /* key on the wire */
    enum field_type type;
    bool required;
    size_t max;                          /* bytes or entries */
    size_t offset;                       /* in the struct */
    const struct msg_desc *(*rec)(void); /* FT_list: its records */
};
struct msg_desc {
    const char *name;
    size_t size; /* sizeof the struct */
    const struct field_desc *fields;
    size_t n;
};

static inline const struct msg_desc *
none_desc(void)
{
    return NULL;
}

/* Append msg as a msgpack map. A field over its maximum, a missing required one or a full buffer: ERR_VALIDATION and
 * nothing usable in out. desc NULL: an empty map. */
enum err msg_encode(const struct msg_desc *desc, const void *msg, struct buf *out);
/* Parse exactly one map that fills all n bytes. ERR_BAD_FRAME when it is not msgpack, does not fit its limits, has a
 * wrong type or misses a required field; unknown keys are skipped. Lists come from the arena. */
enum err msg_decode(const struct msg_desc *desc, const void *p, size_t n, struct arena *a, void *out);
/* Why the last msg_decode or msg_encode of this thread failed: "field hits: too many entries". */
const char *msg_fault(void);
/* Cheap pre-scan before any decoder allocates: one complete msgpack value, declared counts fit the bytes left,
 * depth ≤ 16, at most max_objects values. */
bool msg_scan(const void *p, size_t n, size_t max_objects);

/* Kinds and services. */
enum service_id {
#define SERVICE(id, name, program) SERVICE_##id,
#include "proto/service.tbl"
#undef SERVICE
    SERVICE_COUNT
};
enum kind {
#define KIND(id, name, service, req, part, rep, max, attempt_ms, attempts) KIND_##id,
#include "proto/kind.tbl"
#undef KIND
    KIND_COUNT
};
struct kind_desc {
    const char *name;
    enum service_id service;
    const struct msg_desc *(*req)(void);
    const struct msg_desc *(*part)(void);
    const struct msg_desc *(*rep)(void);
    size_t max_bytes;   /* of any payload of this kind */
    int64_t attempt_ms; /* timer of one attempt */
    int attempts;       /* how many the hub may make */
};
extern const struct kind_desc kinds[KIND_COUNT];
extern const char *const service_names[SERVICE_COUNT + 1]; /* NULL-terminated, for labels */
extern const char *const kind_names[KIND_COUNT + 1];
int kind_find(struct str name);    /* -1: unknown */
int service_find(struct str name); /* -1: unknown */

#endif
