/* Which kernel this processor gets. */
#include "embedder/minilm/kernel.h"

const struct bert_kernel *
bert_kernel(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (bert_has_vnni())
        return &bert_vnni;
    if (bert_has_avx2())
        return &bert_avx2;
#endif
    return &bert_plain;
}
