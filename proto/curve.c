/* CURVE keys on ZeroMQ sockets (curve.h). libzmq derives and makes keys in Z85 text; sockets take the raw bytes. */
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

    return zmq_z85_encode(secret_z85, secret->b, sizeof secret->b) &&
           zmq_curve_public(public_z85, secret_z85) == 0 && zmq_z85_decode(out->b, public_z85);
}

bool
curve_pair(struct curve_key *public_key, struct curve_key *secret)
{
    char secret_z85[Z85_BYTES], public_z85[Z85_BYTES];

    return zmq_curve_keypair(public_z85, secret_z85) == 0 && zmq_z85_decode(public_key->b, public_z85) &&
           zmq_z85_decode(secret->b, secret_z85);
}

bool
curve_client(void *sock, const struct curve_key *secret, const struct curve_key *server)
{
    struct curve_key own;

    return curve_public(secret, &own) && zmq_setsockopt(sock, ZMQ_CURVE_SERVERKEY, server->b, 32) == 0 &&
           zmq_setsockopt(sock, ZMQ_CURVE_PUBLICKEY, own.b, 32) == 0 &&
           zmq_setsockopt(sock, ZMQ_CURVE_SECRETKEY, secret->b, 32) == 0;
}

bool
curve_server(void *sock, const struct curve_key *secret)
{
    int one = 1;

    return zmq_setsockopt(sock, ZMQ_CURVE_SERVER, &one, sizeof one) == 0 &&
           zmq_setsockopt(sock, ZMQ_CURVE_SECRETKEY, secret->b, 32) == 0;
}
