/* Included inside an enum body with STAT_TBL defined: one enumerator a row. No include guard, on purpose. */
#define STAT0(kind, id, name, help) id,
#define STAT1(kind, id, name, l1, v1, help) id,
#define STAT2(kind, id, name, l1, v1, l2, v2, help) id,
#include STAT_TBL
#undef STAT0
#undef STAT1
#undef STAT2
