/* Ports for the servers of tests: below the range that the kernel gives outgoing connections at any time
 * (32768 and up), where a port that was found free can be taken before its server listens. */
#ifndef TESTS_UNIT_PORTKIT_H
#define TESTS_UNIT_PORTKIT_H

#include <arpa/inet.h>
#include <stdint.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int
free_port(void)
{
    for (;;) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        uint16_t drawn = 0;
        int port, bad;

        (void)!getrandom(&drawn, sizeof drawn, 0);
        port = 12000 + drawn % 20000;
        a.sin_port = htons((uint16_t)port);
        bad = bind(fd, (struct sockaddr *)&a, sizeof a);
        close(fd);
        if (bad == 0)
            return port;
    }
}

#endif
