/* TLS below RESP, for rediss:// only. Private to common/redis/: what the server must prove, and one connection's bytes. */
#ifndef COMMON_REDIS_TLS_H
#define COMMON_REDIS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis/redis.h"

enum tls_end { TLS_OK, TLS_TIMEOUT, TLS_CLOSED, TLS_WRONG };

struct redis_tls_conf; /* shared by all connections to one server: authorities, our own certificate */
struct redis_tls;      /* one connection */

/* Read the files. NULL, with what is wrong in err (a phrase without a line end). */
struct redis_tls_conf *redis_tls_conf_new(const struct redis_tls_files *files, struct buf *err);
void redis_tls_conf_free(struct redis_tls_conf **conf);

/* Handshake over the connected fd, which stays the caller's and no longer blocks from now on. host: the name or address
 * that the certificate must be for. *out is NULL after a failure; after TLS_WRONG why says what is wrong (a phrase). */
enum tls_end redis_tls_open(struct redis_tls_conf *conf, int fd, const char *host, int64_t deadline_ms,
                            struct redis_tls **out, char *why, size_t why_size);
void redis_tls_free(struct redis_tls **tls);
/* All n bytes are sent, or an end that is not TLS_OK. */
enum tls_end redis_tls_write(struct redis_tls *tls, const char *p, size_t n, int64_t deadline_ms);
/* At least one byte: *got of them. After TLS_WRONG redis_tls_why says what the server or its certificate has. */
enum tls_end redis_tls_read(struct redis_tls *tls, char *p, size_t max, int64_t deadline_ms, size_t *got);
/* Nothing of the server's waits but what TLS itself sends at any time (session tickets). */
bool redis_tls_quiet(struct redis_tls *tls);
const char *redis_tls_why(const struct redis_tls *tls);

#endif
