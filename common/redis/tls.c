/* TLS to Redis, by OpenSSL over a descriptor that does not block: each step is tried, then poll() waits for what it lacks,
 * and one deadline bounds all of a call, as without TLS.
 *
 *   open: handshake ─ certificate chain, dates, host name ─▶ read, write ─▶ free (no farewell: the socket is closed next)
 *
 * A server is trusted when its certificate comes from REDIS_CA_FILE (without one: from the system's authorities) and is for
 * the host of the URL, a DNS name or an address (RFC 6125). TLS 1.2 at least. There is no switch to skip any
 * of it: an operator who does not want to verify does not want TLS. */
#include "common/redis/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define WHY_BYTES 160

struct redis_tls_conf {
    SSL_CTX *ctx;
};

struct redis_tls {
    SSL *ssl;
    int fd;
    char why[WHY_BYTES]; /* after TLS_WRONG */
};

/* ---- configuration */

/* The oldest of OpenSSL's complaints: the others follow from it. */
static const char *
complaint(void)
{
    unsigned long e = ERR_get_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;

    ERR_clear_error();
    return text ? text : "unknown error";
}

static bool
file_failed(struct buf *err, const char *name, const char *path, const char *what)
{
    FILE *f = fopen(path, "re"); /* OpenSSL says only that there is nothing good in it */

    if (!f)
        buf_printf(err, "%s: cannot read %s: %s", name, path, strerror(errno));
    else
        buf_printf(err, "%s: %s holds no %s (%s)", name, path, what, complaint());
    if (f)
        (void)fclose(f);
    ERR_clear_error();
    return false;
}

static bool
load_files(SSL_CTX *ctx, const struct redis_tls_files *files, struct buf *err)
{
    if (*files->ca == 0) {
        if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
            buf_printf(err, "the system's certificate authorities cannot be read (%s)", complaint());
            return false;
        }
    } else if (SSL_CTX_load_verify_locations(ctx, files->ca, NULL) != 1) {
        return file_failed(err, "REDIS_CA_FILE", files->ca, "PEM certificate");
    }
    if (*files->cert == 0)
        return true;
    if (SSL_CTX_use_certificate_chain_file(ctx, files->cert) != 1)
        return file_failed(err, "REDIS_CERT_FILE", files->cert, "PEM certificate");
    if (SSL_CTX_use_PrivateKey_file(ctx, files->key, SSL_FILETYPE_PEM) != 1)
        return file_failed(err, "REDIS_KEY_FILE", files->key,
                           "PEM key of that certificate without a passphrase");
    return true;
}

/* A key with a passphrase would ask for it on the terminal. */
static int
no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return -1;
}

struct redis_tls_conf *
redis_tls_conf_new(const struct redis_tls_files *files, struct buf *err)
{
    struct redis_tls_conf *conf;
    SSL_CTX *ctx;

    if ((*files->cert == 0) != (*files->key == 0)) {
        buf_printf(err, "%s: is missing: a certificate and its key go together",
                   *files->cert ? "REDIS_KEY_FILE" : "REDIS_CERT_FILE");
        return NULL;
    }
    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx) {
        buf_printf(err, "OpenSSL does not start (%s)", complaint());
        return NULL;
    }
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    /* a write that the socket took in part is finished with the bytes that follow it in the same buffer */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    if (!load_files(ctx, files, err)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    conf = mem_new(sizeof *conf);
    conf->ctx = ctx;
    return conf;
}

void
redis_tls_conf_free(struct redis_tls_conf **conf)
{
    if (!*conf)
        return;
    SSL_CTX_free((*conf)->ctx);
    mem_free(conf);
}

/* ---- a connection */

/* A certificate that was not accepted says more than the alert that followed. */
static enum tls_end
say_why(struct redis_tls *tls)
{
    long verdict = SSL_get_verify_result(tls->ssl);
    const char *text = complaint();

    if (verdict != X509_V_OK)
        text = X509_verify_cert_error_string(verdict);
    snprintf(tls->why, sizeof tls->why, "%s%s", verdict != X509_V_OK ? "its certificate: " : "", text);
    return TLS_WRONG;
}

/* After a step that returned rc. TLS_OK: the socket has what it lacked, try again. */
static enum tls_end
wait_for_socket(struct redis_tls *tls, int rc, int64_t deadline_ms)
{
    struct pollfd p = { .fd = tls->fd };
    int64_t left = deadline_ms - clock_ms();
    int n, saved = errno;

    switch (SSL_get_error(tls->ssl, rc)) {
    case SSL_ERROR_WANT_READ: p.events = POLLIN; break;
    case SSL_ERROR_WANT_WRITE: p.events = POLLOUT; break;
    case SSL_ERROR_ZERO_RETURN: return TLS_CLOSED;
    case SSL_ERROR_SYSCALL: ERR_clear_error(); return saved == EINTR ? TLS_OK : TLS_CLOSED;
    default:
        /* OpenSSL 3 calls an end of file without a farewell an error of the protocol */
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            ERR_clear_error();
            return TLS_CLOSED;
        }
        return say_why(tls);
    }
    n = poll(&p, 1, left > 0 ? (int)left : 0);
    return n > 0 || (n < 0 && errno == EINTR) ? TLS_OK : n == 0 ? TLS_TIMEOUT : TLS_CLOSED;
}

/* The name or address that the certificate must be for. An address is no name: it is neither sent as one nor
 * looked for among them. */
static bool
expect_host(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static bool
prepare(struct redis_tls *tls, const char *host)
{
    int flags = fcntl(tls->fd, F_GETFL);

    return flags >= 0 && fcntl(tls->fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           SSL_set_fd(tls->ssl, tls->fd) == 1 && expect_host(tls->ssl, host);
}

enum tls_end
redis_tls_open(struct redis_tls_conf *conf, int fd, const char *host, int64_t deadline_ms,
               struct redis_tls **out, char *why, size_t why_size)
{
    struct redis_tls *tls = mem_new(sizeof *tls);
    enum tls_end end = TLS_OK;
    int rc;

    *out = NULL;
    tls->fd = fd;
    ERR_clear_error();
    tls->ssl = SSL_new(conf->ctx);
    if (!tls->ssl || !prepare(tls, host)) {
        snprintf(why, why_size, "%s", complaint());
        redis_tls_free(&tls);
        return TLS_WRONG;
    }
    while (end == TLS_OK && (rc = SSL_connect(tls->ssl)) != 1)
        end = wait_for_socket(tls, rc, deadline_ms);
    if (end != TLS_OK) {
        snprintf(why, why_size, "%s", tls->why);
        redis_tls_free(&tls);
    }
    *out = tls;
    return end;
}

void
redis_tls_free(struct redis_tls **tls)
{
    if (!*tls)
        return;
    SSL_free((*tls)->ssl);
    mem_free(tls);
}

/* A server that refuses us (TLS 1.3: our certificate, once the handshake is over) says so and closes; a write then fails
 * while its alert still waits to be read. */
static enum tls_end
last_words(struct redis_tls *tls)
{
    char byte;
    size_t got;
    int rc;

    ERR_clear_error();
    rc = SSL_read_ex(tls->ssl, &byte, 1, &got);
    return rc != 1 && SSL_get_error(tls->ssl, rc) == SSL_ERROR_SSL && ERR_peek_error() != 0 &&
                   ERR_GET_REASON(ERR_peek_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING
               ? say_why(tls)
               : TLS_CLOSED;
}

enum tls_end
redis_tls_write(struct redis_tls *tls, const char *p, size_t n, int64_t deadline_ms)
{
    for (size_t done = 0; done < n;) {
        size_t k = 0;
        int rc;

        ERR_clear_error();
        rc = SSL_write_ex(tls->ssl, p + done, n - done, &k);
        if (rc == 1) {
            done += k;
        } else {
            enum tls_end end = wait_for_socket(tls, rc, deadline_ms);

            if (end != TLS_OK)
                return end == TLS_CLOSED ? last_words(tls) : end;
        }
    }
    return TLS_OK;
}

enum tls_end
redis_tls_read(struct redis_tls *tls, char *p, size_t max, int64_t deadline_ms, size_t *got)
{
    for (;;) {
        enum tls_end end;
        int rc;

        ERR_clear_error();
        rc = SSL_read_ex(tls->ssl, p, max, got);
        if (rc == 1)
            return TLS_OK;
        end = wait_for_socket(tls, rc, deadline_ms);
        if (end != TLS_OK)
            return end;
    }
}

bool
redis_tls_quiet(struct redis_tls *tls)
{
    char byte;
    size_t got;
    int rc;

    ERR_clear_error();
    rc = SSL_peek_ex(tls->ssl, &byte, 1, &got);
    return rc != 1 && SSL_get_error(tls->ssl, rc) == SSL_ERROR_WANT_READ;
}

const char *
redis_tls_why(const struct redis_tls *tls)
{
    return tls->why;
}
