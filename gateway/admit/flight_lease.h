/* Who makes an answer that several gateways are asked for at the same time (flight_lease.c): the lease of a flight, and the stream in
 * Redis that its text is relayed by. Each function is one trip at most, flight_lease_open two. */
#ifndef GATEWAY_ADMIT_FLIGHT_LEASE_H
#define GATEWAY_ADMIT_FLIGHT_LEASE_H

#include "gateway/admit/frames.h"

struct flight_lease {
    char key[FRAMES_KEY_MAX];
    struct frames frames; /* of the flight: ours when we lead, else to be read */
};

enum lease_taken { LEASE_OURS, LEASE_THEIRS, LEASE_AWAY }; /* AWAY: Redis does not say */
enum lease_state {
    LEASE_GONE,
    LEASE_HELD,
    LEASE_BARE,
    LEASE_MUTE
}; /* BARE: nothing is relayed; MUTE: Redis does not say */

void flight_lease_init(void);
/* flight: SHA-256 of all that shapes the answer; session_hash: the asker's. OURS: flight_lease_end follows. The lease of a leader that died
 * is ours, unless its answer is still being written: then it is theirs. */
enum lease_taken flight_lease_take(struct request *r, const uint8_t flight[32],
                                   const uint8_t session_hash[32], struct flight_lease *l);
/* Has the leader that this lease was taken from ended, or died? */
enum lease_state flight_lease_look(struct request *r, const struct flight_lease *l);
/* The passages are there, and the text comes: packed stream_state. False: nothing is relayed. */
bool flight_lease_open(struct request *r, const struct flight_lease *l, struct str state);
/* The model's reply is there: packed chat_rep. False: it is not kept, or the leader's session was erased. */
bool flight_lease_said(struct request *r, const struct flight_lease *l, struct str said);
/* Was this session erased after its question was asked? While Redis does not say, it was not. */
bool flight_lease_erased(struct request *r, const uint8_t session_hash[32]);
/* The leader's end. keep: what was relayed is whole, and stays for those who still read it. */
void flight_lease_end(struct request *r, const struct flight_lease *l, bool keep);

#endif
