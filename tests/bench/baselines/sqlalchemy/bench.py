"""The baseline under the same load as the store's driver: the database half of a FastAPI endpoint, called in process, so
without HTTP, routing or validation (which the store's figures, measured over its bus, do not get for free either).

usage: bench.py URL        then one command a line on standard input, one line of JSON each on standard output:

    seed SESSIONS TURNS        the same conversations as the driver's
    turn SECONDS CALLERS       one question and its answer with five citations
    history SECONDS CALLERS    page 1 of 50 messages with their citations
"""
import asyncio
import hashlib
import json
import random
import sys
import time
import uuid
from datetime import timedelta

import orjson
import uvloop
from sqlalchemy import insert, select, text
from sqlalchemy.orm import selectinload

from models import SCHEMA, Base, Citation, Conversation, Message, UserSession, in_30_days, make_engine, make_sessions, now

WORDS = ("pump filter pressure valve the of and manual replace every month is when shows fault code " * 200)[:16384]
TURN_SESSIONS = 1000


def words(n):
    at = random.randrange(len(WORDS) - n)
    return WORDS[at:at + n]


def session_of(name, i):
    return hashlib.sha256(f"{name} {i}".encode()).digest()


def touch(row):
    """Expiries move by the hour, as the store's do: most turns write neither row."""
    if in_30_days() - row.expires_at > timedelta(hours=1):
        row.expires_at = in_30_days()


async def open_conversation(db, session_id):
    """The session's row and its newest conversation, made when they are missing."""
    user_session = await db.scalar(select(UserSession).where(UserSession.session_id == session_id,
                                                             UserSession.expires_at > now()))
    if user_session is None:
        user_session = UserSession(session_id=session_id)
        db.add(user_session)
        await db.flush()
        conversation = None
    else:
        touch(user_session)
        conversation = await db.scalar(select(Conversation).where(Conversation.user_session_id == user_session.id)
                                       .order_by(Conversation.created_at.desc()).limit(1))
    if conversation is None:
        conversation = Conversation(user_session_id=user_session.id)
        db.add(conversation)
        await db.flush()
    else:
        touch(conversation)
    return conversation


async def turn(sessions, session_id):
    """One transaction; a bulk insert of citations: add_all and one flush."""
    async with sessions() as db, db.begin():
        conversation = await open_conversation(db, session_id)
        at = now()
        question = Message(id=uuid.uuid4(), conversation_id=conversation.id, role="user", content=words(80), timestamp=at)
        answer = Message(id=uuid.uuid4(), conversation_id=conversation.id, role="assistant", content=words(600),
                         model="bench-model", confidence=0.75, prompt_tokens=900, completion_tokens=150,
                         timestamp=at + timedelta(milliseconds=1))
        db.add_all([question, answer])
        db.add_all([Citation(message_id=answer.id, n=i + 1, document_id=uuid.uuid4(), chunk_id=uuid.uuid4(),
                             external_id="pump-manual", title="Pump manual", chapter="Faults", section="Codes",
                             link="https://docs.example.org/pump/faults", content_excerpt=words(240), start_byte=1000,
                             end_byte=1240, confidence_score=0.5) for i in range(5)])


def citation_json(c):
    return {"id": c.id, "n": c.n, "document_id": c.document_id, "chunk_id": c.chunk_id, "external_id": c.external_id,
            "title": c.title, "chapter": c.chapter, "section": c.section, "url": c.link, "excerpt": c.content_excerpt,
            "start": c.start_byte, "end": c.end_byte, "score": c.confidence_score}


async def history(sessions, session_id, page=1, limit=50):
    """A page of the history: OFFSET and LIMIT, citations by selectinload, so two statements for a page."""
    async with sessions() as db:
        rows = (await db.scalars(
            select(Message).join(Conversation, Message.conversation_id == Conversation.id)
            .join(UserSession, Conversation.user_session_id == UserSession.id)
            .where(UserSession.session_id == session_id, Message.expires_at > now())
            .order_by(Conversation.created_at.desc(), Message.timestamp, Message.id)
            .offset((page - 1) * limit).limit(limit).options(selectinload(Message.citations)))).all()
        return rows, orjson.dumps([
            {"id": m.id, "conversation_id": m.conversation_id, "role": m.role, "content": m.content, "status": m.status,
             "model": m.model, "confidence": m.confidence, "created_at": m.timestamp,
             "citations": [citation_json(c) for c in m.citations]} for m in rows],
            default=str)  # asyncpg's UUID is a class of its own


async def seed(engine, n_sessions, n_turns):
    """In bulk: how fast the baseline seeds is not measured."""
    async with engine.begin() as db:
        for i in range(TURN_SESSIONS):
            s = uuid.uuid4()
            await db.execute(insert(UserSession).values(id=s, session_id=session_of("turn", i)))
            await db.execute(insert(Conversation).values(id=uuid.uuid4(), user_session_id=s))
        for i in range(n_sessions):
            s, c = uuid.uuid4(), uuid.uuid4()
            await db.execute(insert(UserSession).values(id=s, session_id=session_of("seed", i)))
            await db.execute(insert(Conversation).values(id=c, user_session_id=s))
            messages, citations, at = [], [], now()
            for k in range(n_turns):
                answer = uuid.uuid4()
                messages.append(dict(id=uuid.uuid4(), conversation_id=c, role="user", content=words(80), model=None,
                                     confidence=None, timestamp=at + timedelta(milliseconds=2 * k)))
                messages.append(dict(id=answer, conversation_id=c, role="assistant", content=words(600), model="bench-model",
                                     confidence=0.75, timestamp=at + timedelta(milliseconds=2 * k + 1)))
                citations += [dict(message_id=answer, n=n + 1, document_id=uuid.uuid4(), chunk_id=uuid.uuid4(),
                                   external_id="pump-manual", title="Pump manual", chapter="Faults", section="Codes",
                                   link="https://docs.example.org/pump/faults", content_excerpt=words(240), start_byte=1000,
                                   end_byte=1240, confidence_score=0.5) for n in range(5)]
            await db.execute(insert(Message), messages)
            await db.execute(insert(Citation), citations)


async def measure(seconds, callers, one):
    took, errors, begin = [], 0, time.monotonic()

    async def caller():
        nonlocal errors
        while time.monotonic() < begin + seconds:
            at = time.monotonic()
            try:
                await one()
                took.append(time.monotonic() - at)
            except Exception as e:  # noqa: BLE001 - counted, and shown
                errors += 1
                if errors == 1:
                    print(repr(e)[:300], file=sys.stderr)
    await asyncio.gather(*(caller() for _ in range(callers)))
    length, took = time.monotonic() - begin, sorted(took)
    at = {f"p{p}": round(took[min(len(took) - 1, int(len(took) * p / 100))] * 1e6) if took else 0 for p in (50, 95, 99)}
    return {"n": len(took), "seconds": length, "rate": len(took) / length, "errors": errors, **at}


async def main(url):
    engine = make_engine(url)
    sessions, seeded = make_sessions(engine), 1
    async with engine.begin() as db:
        await db.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        await db.run_sync(Base.metadata.create_all)
    print("ready", flush=True)

    async def one_turn():
        await turn(sessions, session_of("turn", random.randrange(TURN_SESSIONS)))

    async def one_page():
        rows, body = await history(sessions, session_of("seed", random.randrange(seeded)))
        assert len(rows) == 50 and sum(len(m.citations) for m in rows) == 125 and len(body) > 10000
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, a, b = line.split()
        if name == "seed":
            seeded = int(a)
            await seed(engine, seeded, int(b))
            out = {"n": seeded * int(b)}
        else:
            out = await measure(float(a), int(b), {"turn": one_turn, "history": one_page}[name])
        print(json.dumps(out), flush=True)
    await engine.dispose()


uvloop.install()
asyncio.run(main(sys.argv[1]))
