/* Shared by the two halves of streams_load: streams_load.c (the clients, which check) and streams_model.c (the model server). */
#ifndef TESTS_BENCH_STREAMS_LOAD_H
#define TESTS_BENCH_STREAMS_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAMS_MAX 16384
#define TOKEN_BYTES 13 /* " s01234t00017"; the first one of a stream has no blank */

struct peer { /* one connection of either half */
    int fd;
    bool model;  /* the embedder's connection to the model server */
    long stream; /* -1: none yet */
    char *in;
    size_t n, cap;
};

struct stream {
    /* the model server's */
    long sent; /* tokens */
    double due;
    struct peer *answers; /* NULL: not asked yet, or over */
    bool ended;
    /* the client's */
    long got; /* bytes of text, all of them as they should be */
    long events, wrong;
    bool head, done;
    double again; /* 503: when it is asked again; 0: it is not */
};

extern struct stream streams[STREAMS_MAX];
extern long n_streams, interval_ms;
extern bool ending; /* the model server ends each answer with its next token */

double now_s(void);
void die(const char *what);
/* Waits for the connection's bytes in the poller that both halves share. */
struct peer *peer_new(int fd, bool model);
void peer_free(struct peer *p);
/* Appends what has come; false: the other side has closed. */
bool peer_read(struct peer *p);
void peer_take(struct peer *p, size_t n); /* the first n bytes are done with */
void peer_send(const struct peer *p, const char *text, size_t n);
/* The byte at that place of a stream's text. */
char token_byte(long stream, long at);

int model_listen(int port);
void model_accept(int listener);
void model_input(struct peer *p);
void model_gone(struct peer *p);
void model_tick(double now); /* sends what is due */

#endif
