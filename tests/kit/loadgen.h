/* Shared by loadgen.c (schedule, loop, summary) and loadgen_user.c (one request with its attempts). */
#ifndef TESTS_KIT_LOADGEN_H
#define TESTS_KIT_LOADGEN_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TARGETS_MAX 16
#define OPEN_MAX 8192
#define ATTEMPTS_MAX 64
#define BODY_CAP (256u << 10)
#define CODES_MAX 48

enum route { QUERY, STREAM, EMBEDDINGS, SEARCH };
extern const char *const route_names[];

struct loadgen_conf {
    struct sockaddr_in target[TARGETS_MAX];
    int n_targets;
    double rate, seconds, streams, lose;
    long closed, count, attempts, patience_ms, timeout_ms, sources, seed, open, keys;
    enum route route;
    const char *question;
    FILE *record;
};
extern struct loadgen_conf conf;

struct
try {
    int gateway, status;
    double begun, ended;
    char code[40], request_id[72];
    char message_id[40]; /* of an answer that was taken as lost */
    const char *error;   /* refused, reset, short, timeout or lost; NULL: a whole answer came */
    uint64_t canary;
};

enum phase { FREE, CONNECTING, SENDING, READING, WAITING };
struct user { /* one request with its retries; a slot of the table */
    enum phase phase;
    int fd, n_tries;
    long id;
    enum route route;
    char session[37];
    double due, begun, until; /* scheduled; first begun; the phase ends at */
    char *out, *in;           /* request; answer, BODY_CAP + 1 bytes */
    size_t out_n, out_at, in_n;
    size_t head_n; /* bytes of the head, 0: not yet complete */
    struct try try[ATTEMPTS_MAX];
};

struct sums {
    long begun, skipped, retried, lost, shorts, foreigns, n_good, n_refused;
    struct {
        char name[40];
        long n;
    } codes[CODES_MAX];
    double *good_ms, *refused_ms, first_begun, last_good;
};
extern struct sums sums;
extern int poller;
extern volatile sig_atomic_t stopped;

double now_ms(void);
uint64_t rng(void);
double chance(void); /* 0 up to 1 */
/* Says what failed and ends the program. */
void fail(const char *what);
/* A slot whose request has ended. */
void user_free(struct user *u);

/* A new request in a free slot; due 0: now. */
void user_begin(struct user *u, double due);
void attempt_begin(struct user *u);
/* error NULL: the connection was closed after an answer, whole or not. */
void attempt_end(struct user *u, const char *error);
/* epoll_ctl for the attempt's socket. */
void watch(struct user *u, uint32_t events, int how);

#endif
