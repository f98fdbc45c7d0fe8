/* The rules of the bus (proto/PROTOCOL.md) as a spin model: a hub, two workers of capacity 1, two requests. Request 0 may be
 * repeated (two attempts, its effect is idempotent by request id), request 1 may not (one attempt).
 *
 * In the model: registration with epochs, credit, queues, attempts, NACK, attempt time-outs, deadlines, cancellation (advice:
 * the slot stays taken until the worker answers), drain with its acknowledgement, crashes before and after the effect,
 * false expiries, late and doubled replies. Time is left out: whatever a timer could do may happen at any moment.
 *
 * Checked: credit + outstanding = capacity; never more work at a worker than it offered; one answer a request; an effect
 * at most once; what may not be repeated runs once; no new work after an acknowledged drain; everything is answered.
 *
 * A rule is switched off with -DNO_…; run.sh shows that spin finds each. */
#define NW 2
#define NR 2
#define CAP 1
#define NONE 255
#ifndef TROUBLE
#define TROUBLE 2 /* crashes, doubled replies, false expiries and NACKs in one run */
#endif

mtype = { request, cancel, drain_ack, disconnect, ready, final, nack, drain };

chan to_worker[NW] = [4] of { mtype, byte, byte, byte };    /* what, request, attempt, epoch */
chan to_hub = [6] of { mtype, byte, byte, byte, byte };     /* what, worker, epoch, request, attempt */

/* the hub */
byte alive[NW];              /* registered */
byte epoch_at_hub[NW];
byte credit[NW];
byte slot_request[NW];       /* what is outstanding there; NONE */
byte slot_attempt[NW];
bool draining[NW];
byte state[NR];              /* 0 queued, 1 out, 2 closed */
byte attempts[NR];           /* dispatches */
byte counted[NR];            /* of these counted (a NACK is not) */
byte owner[NR];              /* worker of the current attempt */
byte answers[NR];

/* the workers and the database */
byte epoch[NW];
byte held[NW];               /* requests that a worker holds, or that are on their way to it */
bool acked[NW];              /* its drain was acknowledged */
bool effect_seen[NR];
byte effects[NR];
byte runs[NR];

byte trouble = TROUBLE;
/* The rules, each of which can be switched off. */
#ifdef NO_LIMIT
#define MAX_COUNTED(r) 4
#else
#define MAX_COUNTED(r) (r == 0 -> 2 : 1)
#endif
#ifdef NO_DRAIN_RULE
#define MAY_GET(w) (alive[w] && credit[w] > 0 && nfull(to_worker[w]))
#else
#define MAY_GET(w) (alive[w] && credit[w] > 0 && nfull(to_worker[w]) && !draining[w])
#endif
#define FOR_US(w, e) (alive[w] && e == epoch_at_hub[w]) /* with the check of the attempt this one is a second fence */
#ifdef NO_ATTEMPT
#define HELD(w, r, a) true
#else
#define HELD(w, r, a) (slot_request[w] == r && slot_attempt[w] == a)
#endif
#ifdef NO_DEDUP
#define DEDUPED(r) false
#else
#define DEDUPED(r) (r == 0 && effect_seen[r])
#endif
#ifdef NO_FINAL
#define IS_OPEN(r) true
#else
#define IS_OPEN(r) (state[r] != 2)
#endif
#define CLOSED(r) (state[r] == 2)
#define OUTSTANDING(w) (slot_request[w] == NONE -> 0 : 1)

inline close(r) {
  state[r] = 2; answers[r]++;
#ifdef NO_SLOT /* the slot is given back at once, although the worker still holds the request */
  if :: slot_request[owner[r]] == r -> slot_request[owner[r]] = NONE; credit[owner[r]]++ :: else fi;
#endif
}

inline again_or_close(r) {
  if :: counted[r] < MAX_COUNTED(r) && attempts[r] < 4 -> state[r] = 0
     :: else -> close(r) fi;
}

inline lose(w) { /* the worker is gone for the hub */
  alive[w] = 0; credit[w] = CAP; draining[w] = false; acked[w] = false;
  if
  :: slot_request[w] != NONE ->
     lost = slot_request[w];
     if :: state[lost] == 1 && owner[lost] == w && attempts[lost] == slot_attempt[w] -> slot_request[w] = NONE; again_or_close(lost)
        :: else -> slot_request[w] = NONE fi;
     lost = 0
  :: else
  fi
}

inline dispatch(r, w) {
  attempts[r]++; counted[r]++; state[r] = 1; owner[r] = w;
  slot_request[w] = r; slot_attempt[w] = attempts[r]; credit[w]--;
  assert(!acked[w]);
  if :: epoch_at_hub[w] == epoch[w] -> held[w]++; assert(held[w] <= CAP) :: else fi;
  to_worker[w]!request, r, attempts[r], epoch_at_hub[w]
}

proctype Worker(byte w) {
  byte r, a, e, got = NONE;
  mtype what;
start:
  to_hub!ready, w, epoch[w], 0, 0;
  do
  :: atomic { got == NONE && nempty(to_worker[w]) -> to_worker[w]?what, r, a, e;
       if
       :: e != epoch[w] -> skip            /* for an earlier life of ours */
       :: else ->
          if
          :: what == request -> got = r
          :: what == disconnect -> goto again
          :: what == drain_ack -> goto left
          :: else -> skip                   /* cancel is advice */
          fi
       fi }
  :: got != NONE ->
     if
     :: atomic { trouble > 0 -> trouble--; to_hub!nack, w, epoch[w], r, a; got = NONE; held[w]-- }
     :: atomic { trouble > 0 -> trouble--; goto again }                 /* dies before the effect */
     :: atomic { runs[r]++;
          if
          :: DEDUPED(r) -> skip
          :: else -> effect_seen[r] = true; effects[r]++
          fi };
        if
        :: atomic { to_hub!final, w, epoch[w], r, a; got = NONE; held[w]-- }
        :: atomic { trouble > 0 -> trouble--; goto again }              /* dies after the effect, before the reply */
        :: atomic { trouble > 0 -> trouble--; to_hub!final, w, epoch[w], r, a; to_hub!final, w, epoch[w], r, a; got = NONE; held[w]-- }
        fi
     fi
  :: atomic { got == NONE && trouble > 0 && nfull(to_hub) -> trouble--; to_hub!drain, w, epoch[w], 0, 0 }
  :: CLOSED(0) && CLOSED(1) && got == NONE && empty(to_worker[w]) -> goto end_done
  od;
left: /* drained: leaves, and comes back as a new process */
again:
  atomic {
    got = NONE; held[w] = 0; epoch[w]++;
    do :: nempty(to_worker[w]) -> to_worker[w]?what, r, a, e :: empty(to_worker[w]) -> break od
  };
  if
  :: CLOSED(0) && CLOSED(1)
  :: else -> goto start
  :: atomic { trouble > 0 -> trouble-- }     /* never comes back */
  fi;
end_done: skip
}

active proctype Hub() {
  byte w, e, r, a, lost;
  mtype what;
  atomic { slot_request[0] = NONE; slot_request[1] = NONE; credit[0] = CAP; credit[1] = CAP; run Worker(0); run Worker(1) };
  do
  :: atomic { to_hub?what, w, e, r, a ->
       if
       :: what == ready ->
          if :: alive[w] -> lose(w) :: else fi;
          alive[w] = 1; epoch_at_hub[w] = e; credit[w] = CAP
       :: what == drain && alive[w] && e == epoch_at_hub[w] ->
          draining[w] = true;
          if :: slot_request[w] == NONE && nfull(to_worker[w]) -> acked[w] = true; to_worker[w]!drain_ack, 0, 0, e
             :: else fi
       :: what == nack && FOR_US(w, e) && HELD(w, r, a) ->
          slot_request[w] = NONE; credit[w]++;
          if :: state[r] == 1 && owner[r] == w && attempts[r] == a -> counted[r]--; again_or_close(r) :: else fi
       :: what == final && FOR_US(w, e) && HELD(w, r, a) ->
          slot_request[w] = NONE; credit[w]++;
          if :: IS_OPEN(r) -> close(r) :: else fi
       :: else -> skip                      /* late, doubled, of another epoch: dropped */
       fi;
       w = 0; e = 0; r = 0; a = 0 }
  :: atomic { state[0] == 0 && MAY_GET(0) -> dispatch(0, 0) }
  :: atomic { state[0] == 0 && MAY_GET(1) -> dispatch(0, 1) }
  :: atomic { state[1] == 0 && MAY_GET(0) -> dispatch(1, 0) }
  :: atomic { state[1] == 0 && MAY_GET(1) -> dispatch(1, 1) }
  /* silence: the worker may be alive (a false expiry) */
  :: atomic { alive[0] && trouble > 0 && nfull(to_worker[0]) -> trouble--; to_worker[0]!disconnect, 0, 0, epoch_at_hub[0]; lose(0) }
  :: atomic { alive[1] && trouble > 0 && nfull(to_worker[1]) -> trouble--; to_worker[1]!disconnect, 0, 0, epoch_at_hub[1]; lose(1) }
  /* an attempt's own timer: the slot stays taken, the request goes elsewhere or ends */
  :: atomic { state[0] == 1 && trouble > 0 -> trouble--;
       if :: nfull(to_worker[owner[0]]) -> to_worker[owner[0]]!cancel, 0, attempts[0], epoch_at_hub[owner[0]] :: else fi;
       again_or_close(0) }
#ifdef NO_ONCE /* what may not be repeated is repeated after a time-out */
  :: atomic { state[1] == 1 && trouble > 0 -> trouble--; state[1] = 0 }
#endif
#ifndef NO_DEADLINE
  :: atomic { state[0] != 2 -> close(0) }
  :: atomic { state[1] != 2 -> close(1) }
#endif
  :: atomic { CLOSED(0) && CLOSED(1) && empty(to_hub) -> break }
  od;
  assert(answers[0] == 1 && answers[1] == 1)
}

active proctype Invariants() {
end: do
  :: atomic { (answers[0] > 1 || answers[1] > 1 || effects[0] > 1 || effects[1] > 1 || runs[1] > 1
      || counted[0] > 2 || counted[1] > 1
      || (alive[0] && credit[0] + OUTSTANDING(0) != CAP) || (alive[1] && credit[1] + OUTSTANDING(1) != CAP)) -> assert(false) }
  :: CLOSED(0) && CLOSED(1) && empty(to_hub) -> break
  od
}
