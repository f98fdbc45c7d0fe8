/* Included with MSG_TBL defined as a quoted table: the structs and the descriptors' prototypes of its messages. No include
 * guard, on purpose. */
#define MSG(name) struct name {
#define FIELD(type, name, need, max) MSG_C_##type name;
#define LIST(rec, name, need, max) \
    struct { \
        struct rec *v; \
        size_t n; \
    } name;
#define MSG_END \
    } \
    ;
#include MSG_TBL
#undef MSG
#undef FIELD
#undef LIST
#undef MSG_END

#define MSG(name) const struct msg_desc *name##_desc(void);
#define FIELD(type, name, need, max)
#define LIST(rec, name, need, max)
#define MSG_END
#include MSG_TBL
#undef MSG
#undef FIELD
#undef LIST
#undef MSG_END
#undef MSG_TBL
