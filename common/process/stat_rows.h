/* Included inside a struct stat_def array initialiser with STAT_TBL defined. No include guard, on purpose. */
#define STAT0(kind, id, name, help) { kind, name, { NULL, NULL }, { NULL, NULL }, help },
#define STAT1(kind, id, name, l1, v1, help) { kind, name, { l1, NULL }, { v1, NULL }, help },
#define STAT2(kind, id, name, l1, v1, l2, v2, help) { kind, name, { l1, l2 }, { v1, v2 }, help },
#include STAT_TBL
#undef STAT0
#undef STAT1
#undef STAT2
