/* See czmq.h. Only the gateway links czmq: its shared libraries cost each process 1.3 MB. */
#include "gateway/hub/czmq.h"

#include <stdlib.h>

#include "proto/zsock.h"

/* Signals stay ours, czmq's settings come from nobody's environment, and what it has to say goes to nobody. */
void
czmq_begin(void)
{
    static const char *const habits[] = { "ZSYS_IO_THREADS",
                                          "ZSYS_MAX_SOCKETS",
                                          "ZSYS_MAX_MSGSZ",
                                          "ZSYS_LINGER",
                                          "ZSYS_SNDHWM",
                                          "ZSYS_RCVHWM",
                                          "ZSYS_PIPEHWM",
                                          "ZSYS_IPV6",
                                          "ZSYS_LOGSTREAM",
                                          "ZSYS_LOGIDENT",
                                          "ZSYS_LOGSENDER",
                                          "ZSYS_LOGSYSTEM",
                                          "ZSYS_AUTO_USE_FD",
                                          "ZSYS_ZERO_COPY_RECV",
                                          "ZSYS_THREAD_PRIORITY",
                                          "ZSYS_THREAD_SCHED_POLICY",
                                          "ZSYS_THREAD_NAME_PREFIX",
                                          "ZSYS_INTERFACE",
                                          "ZSYS_SIGHANDLER",
                                          "ZSYS_ZMQ_TCP_KEEPALIVE" };
    void *context;

    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
        unsetenv(habits[i]);
    zsys_handler_set(NULL);
    context = zsys_init();
    zsys_set_logstream(NULL);
    zsys_set_linger(0);
    bus_context_use(context, zsys_shutdown);
}
