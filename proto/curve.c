/* CURVE keys on ZeroMQ sockets (curve.h), by czmq's certificates. Only a public key is derived by libzmq itself, in Z85 text. */
#include "proto/curve.h"

#include "common/text/text.h"
#include "proto/zsock.h"

#define Z85_BYTES 41 /* 40 characters and a NUL */

bool
curve_parse(struct str hex, struct curve_key *out)
{
    return hex.n == 64 && hex_parse(hex, out->b, sizeof out->b);
}

bool
curve_public(const struct curve_key *secret, struct curve_key *out)
{
    char secret_z85[Z85_BYTES], public_z85[Z85_BYTES];

    return zmq_z85_encode(secret_z85, secret->b, sizeof secret->b) && zmq_curve_public(public_z85, secret_z85) == 0
        && zmq_z85_decode(out->b, public_z85);
}

bool
curve_pair(struct curve_key *public_key, struct curve_key *secret)
{
    zcert_t *cert = zcert_new();

    if (!cert)
        return false;
    memcpy(public_key->b, zcert_public_key(cert), sizeof public_key->b);
    memcpy(secret->b, zcert_secret_key(cert), sizeof secret->b);
    zcert_destroy(&cert);
    return true;
}

static bool
apply(void *sock, const struct curve_key *secret)
{
    struct curve_key own;
    zcert_t *cert = curve_public(secret, &own) ? zcert_new_from(own.b, secret->b) : NULL;

    if (!cert)
        return false;
    zcert_apply(cert, sock);
    zcert_destroy(&cert);
    return true;
}

bool
curve_client(void *sock, const struct curve_key *secret, const struct curve_key *server)
{
    return apply(sock, secret) && zmq_setsockopt(sock, ZMQ_CURVE_SERVERKEY, server->b, 32) == 0;
}

bool
curve_server(void *sock, const struct curve_key *secret)
{
    int one = 1;

    return apply(sock, secret) && zmq_setsockopt(sock, ZMQ_CURVE_SERVER, &one, sizeof one) == 0;
}
