/* The tables of kinds and services as arrays, and the message descriptors of msg.tbl and head.tbl. */
#include "proto/bus.h"

#define required true
#define optional false

#define MSG(name) \
    const struct msg_desc *name##_desc(void) \
    { \
        typedef struct name CUR; \
        static const char msg_name[] = #name; \
        static const struct field_desc fields[] = {
#define FIELD(type, name, need, max) { #name, FT_##type, need, max, offsetof(CUR, name), NULL },
#define LIST(record, name, need, max) { #name, FT_list, need, max, offsetof(CUR, name), record##_desc },
#define MSG_END \
    } \
    ; \
    static const struct msg_desc d = { msg_name, sizeof(CUR), fields, sizeof fields / sizeof *fields }; \
    return &d; \
    }
#include "proto/head.tbl"
#include "proto/msg.tbl"
#undef MSG
#undef FIELD
#undef LIST
#undef MSG_END

const struct kind_desc kinds[KIND_COUNT] = {
#define KIND(id, name, service, req, part, rep, max, attempt_ms, attempts) \
    { name, SERVICE_##service, req##_desc, part##_desc, rep##_desc, max, attempt_ms, attempts },
#include "proto/kind.tbl"
#undef KIND
};

const char *const service_names[SERVICE_COUNT + 1] = {
#define SERVICE(id, name, program) name,
#include "proto/service.tbl"
#undef SERVICE
    NULL
};

const char *const kind_names[KIND_COUNT + 1] = {
#define KIND(id, name, service, req, part, rep, max, attempt_ms, attempts) name,
#include "proto/kind.tbl"
#undef KIND
    NULL
};

static int
find(const char *const *names, struct str name)
{
    for (int i = 0; names[i]; i++)
        if (str_is(name, names[i]))
            return i;
    return -1;
}

int
kind_find(struct str name)
{
    return find(kind_names, name);
}

int
service_find(struct str name)
{
    return find(service_names, name);
}
