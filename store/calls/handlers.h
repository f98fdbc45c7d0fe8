/* The store's handlers, one for each kind of call: each reads its request, begins one transaction and answers from its results. */
#ifndef STORE_HANDLERS_H
#define STORE_HANDLERS_H

struct call;

void turn_begin(struct call *c);
void turn_finish(struct call *c);
void history(struct call *c);
void session_put(struct call *c);
void session_get(struct call *c);
void session_delete(struct call *c);
void user_delete(struct call *c);
void conversation_list(struct call *c);
void conversation_delete(struct call *c);
void feedback(struct call *c);
void usage(struct call *c);
void explain(struct call *c);
void citation_get(struct call *c);
void collection_put(struct call *c);
void collection_list(struct call *c);
void collection_get(struct call *c);
void collection_delete(struct call *c);
void document_put(struct call *c);
void documents_put(struct call *c);
void document_get(struct call *c);
void document_list(struct call *c);
void document_delete(struct call *c);
void document_text(struct call *c);
void job_get(struct call *c);
void job_claim(struct call *c);
void jobs_claim(struct call *c);
void jobs_done(struct call *c);
void job_renew(struct call *c);
void job_text(struct call *c);
void job_chunks(struct call *c);
void job_finish(struct call *c);
void vectors_known(struct call *c);
void chunks_get(struct call *c);
void chunks_load(struct call *c);
void changes(struct call *c);
void document_aside(struct call *c);
void job_wait(struct call *c);
void audit_add(struct call *c);
void audit_list(struct call *c);
void key_list(struct call *c);
void key_changes(struct call *c);
void key_get(struct call *c);
void key_put(struct call *c);
void key_delete(struct call *c);
void cleanup(struct call *c);
void idem_claim(struct call *c);
void idem_finish(struct call *c);

#endif
