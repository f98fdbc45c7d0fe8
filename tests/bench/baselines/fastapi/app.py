"""A backend like Footnote as one would write it in Python today: FastAPI, SQLAlchemy 2 on asyncpg, redis-py, httpx; uvicorn with
uvloop and httptools, one process or as many as there are cores. Settings as usual: pool 10 + 20, recycle 3600, pre-ping;
query cache MD5(question + session_id) for an hour, embedding cache MD5(text) for 24 hours; citations by add_all.

    POST /api/v1/chat/query {"question", "session_id"}
      one Redis trip (limit and query cache) -> embedding (cache, else model server) -> search in memory -> chat -> one transaction

In its favour: answers from the cache are not saved to the history, limits are a plain counter, documents are in memory from
the start, and the turn is saved in one transaction at the end only.

Environment: DATABASE_URL, REDIS_URL, OPENAI_BASE_URL, RATE_LIMIT, CORPUS (JSON Lines: id, title, text)."""
import hashlib
import os
import re
import sys
import uuid
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import numpy as np
import orjson
import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, Field
from sqlalchemy import select, text

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sqlalchemy"))
from models import SCHEMA, Base, Citation, Conversation, Message, UserSession, in_30_days, make_engine, make_sessions, now  # noqa: E402

EMBEDDING_MODEL, CHAT_MODEL = "text-embedding-3-small", "gpt-4o-mini"
QUERY_TTL, EMBEDDING_TTL, TOP_K, CHUNK = 3600, 86400, 5, 1100
LIMIT = int(os.environ.get("RATE_LIMIT", "60"))
PROMPT = ("You answer readers' questions about a collection of documents. Answer from the numbered passages only and put the number "
          "of the passage after each claim in square brackets. Say so when the passages do not answer the question.")
MARK = re.compile(r"\[(\d{1,2})\]")


class Ask(BaseModel):
    question: str = Field(min_length=1, max_length=500)
    session_id: uuid.UUID
    top_k: int = Field(default=TOP_K, ge=1, le=20)


class Library:
    """The passages and their vectors, in memory."""

    def __init__(self, passages, vectors):
        self.passages, self.vectors = passages, vectors

    def search(self, vector, k):
        scores = self.vectors @ vector
        best = np.argpartition(scores, -k)[-k:] if k < len(scores) else np.arange(len(scores))
        return [(self.passages[i], float(scores[i])) for i in best[np.argsort(scores[best])[::-1]]]


def digest(*parts):
    return hashlib.md5("".join(parts).encode()).hexdigest()


def passages_of(document):
    """Paragraphs, put together up to CHUNK bytes: (document id, title, text, where it begins)."""
    out, at = [], 0
    for part in document["text"].split("\n\n"):
        if out and at - out[-1][3] + len(part) < CHUNK:
            out[-1] = (*out[-1][:2], out[-1][2] + "\n\n" + part, out[-1][3])
        else:
            out.append((document["id"], document["title"], part, at))
        at += len(part) + 2
    return out


async def model_server(path, body):
    r = await app.state.http.post(path, content=orjson.dumps(body), headers={"Content-Type": "application/json"})
    r.raise_for_status()
    return orjson.loads(r.content)


async def embed(texts):
    got = await model_server("embeddings", {"model": EMBEDDING_MODEL, "input": texts})
    return np.array([row["embedding"] for row in got["data"]], dtype=np.float32)


async def embedding(question):
    key = "emb:" + digest(question)
    cached = await app.state.redis.get(key)
    if cached is not None:
        return np.frombuffer(cached, dtype=np.float32)
    vector = (await embed([question]))[0]
    await app.state.redis.set(key, vector.tobytes(), ex=EMBEDDING_TTL)
    return vector


async def load_library(path):
    with open(path) as f:
        passages = [p for line in f for p in passages_of(orjson.loads(line))]
    vectors = [await embed([p[2] for p in passages[i:i + 256]]) for i in range(0, len(passages), 256)]
    return Library(passages, np.concatenate(vectors))


async def open_conversation(db, session_id):
    """The session's row and its newest conversation, made when they are missing; expiries move by the hour."""
    session = await db.scalar(select(UserSession).where(UserSession.session_id == session_id, UserSession.expires_at > now()))
    conversation = None
    if session is None:
        session = UserSession(session_id=session_id)
        db.add(session)
        await db.flush()
    else:
        conversation = await db.scalar(select(Conversation).where(Conversation.user_session_id == session.id)
                                       .order_by(Conversation.created_at.desc()).limit(1))
    if conversation is None:
        conversation = Conversation(user_session_id=session.id)
        db.add(conversation)
        await db.flush()
    for row in (session, conversation):
        if in_30_days() - row.expires_at > timedelta(hours=1):
            row.expires_at = in_30_days()
    return conversation


async def save(ask, answer, usage, cited):
    """The turn in one transaction; returns the answer's id and the conversation's."""
    async with app.state.sessions() as db, db.begin():
        conversation = await open_conversation(db, ask.session_id.bytes)
        at = now()
        question = Message(id=uuid.uuid4(), conversation_id=conversation.id, role="user", content=ask.question, timestamp=at)
        reply = Message(id=uuid.uuid4(), conversation_id=conversation.id, role="assistant", content=answer, model=CHAT_MODEL,
                        confidence=cited[0][2] if cited else 0, prompt_tokens=usage["prompt_tokens"],
                        completion_tokens=usage["completion_tokens"], timestamp=at + timedelta(milliseconds=1))
        db.add_all([question, reply])
        db.add_all([Citation(message_id=reply.id, n=n, document_id=uuid.uuid5(uuid.NAMESPACE_URL, p[0]), external_id=p[0],
                             chunk_id=uuid.uuid5(uuid.NAMESPACE_URL, f"{p[0]}:{p[3]}"), title=p[1],
                             content_excerpt=p[2][:300], start_byte=p[3], end_byte=p[3] + len(p[2]), confidence_score=score)
                    for n, p, score in cited])
        return str(reply.id), str(conversation.id)


async def chat(question, found):
    passages = "\n\n".join(f"[{n}] {p[1]}\n{p[2]}" for n, (p, _) in enumerate(found, 1))
    got = await model_server("chat/completions", {"model": CHAT_MODEL, "temperature": 0.1, "max_tokens": 1024, "messages": [
        {"role": "system", "content": PROMPT},
        {"role": "user", "content": f"Passages:\n\n{passages}\n\nQuestion: {question}"}]})
    return got["choices"][0]["message"]["content"], got["usage"]


async def limited(session_id, key):
    """One pipelined trip: the session's counter of this minute, and the cached answer."""
    counter = f"limit:{session_id}"
    async with app.state.redis.pipeline(transaction=False) as p:
        count, _, cached = await p.incr(counter).expire(counter, 60, nx=True).get(key).execute()
    if count > LIMIT:
        raise HTTPException(429, "too many requests", {"Retry-After": "60"})
    return cached


@asynccontextmanager
async def lifespan(app):
    engine = make_engine(os.environ["DATABASE_URL"])
    async with engine.begin() as db:
        await db.execute(text("SELECT pg_advisory_xact_lock(1)"))   # of several workers one makes the tables
        await db.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        await db.run_sync(Base.metadata.create_all)
    app.state.sessions = make_sessions(engine)
    app.state.redis = redis.from_url(os.environ["REDIS_URL"])
    app.state.http = httpx.AsyncClient(base_url=os.environ["OPENAI_BASE_URL"], timeout=30,
                                       limits=httpx.Limits(max_connections=100, max_keepalive_connections=100))
    app.state.library = await load_library(os.environ["CORPUS"])
    yield
    await app.state.http.aclose()
    await app.state.redis.aclose()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.post("/api/v1/chat/query")
async def query(ask: Ask):
    key = "query:" + digest(ask.question, str(ask.session_id))
    cached = await limited(ask.session_id, key)
    if cached is not None:
        return Response(cached, media_type="application/json")
    found = app.state.library.search(await embedding(ask.question), ask.top_k)
    answer, usage = await chat(ask.question, found)
    marks = dict.fromkeys(int(m) for m in MARK.findall(answer) if 1 <= int(m) <= len(found))
    cited = [(n, *found[n - 1]) for n in marks]
    message, conversation = await save(ask, answer, usage, cited)
    body = orjson.dumps({
        "answer": answer, "session_id": ask.session_id, "message_id": message, "conversation_id": conversation,
        "confidence": cited[0][2] if cited else 0, "grounded": bool(cited), "usage": usage,
        "sources": [{"n": n, "title": p[1], "document_id": p[0], "content_excerpt": p[2][:300], "start": p[3],
                     "end": p[3] + len(p[2]), "score": score} for n, p, score in cited]})
    await app.state.redis.set(key, body, ex=QUERY_TTL)
    return Response(body, media_type="application/json")
