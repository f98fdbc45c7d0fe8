"""A Python backend (docs/migrating.md): its four tables, its indexes, its pool. SQLAlchemy 2 (asyncio) and asyncpg.

Relations are lazy="raise": whoever forgets a selectinload gets an error, not N+1 queries."""
import uuid
from datetime import datetime, timedelta, timezone

from sqlalchemy import JSON, DateTime, Float, ForeignKey, Integer, LargeBinary, String, Text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA = "baseline"


def now():
    return datetime.now(timezone.utc)


def in_30_days():
    return now() + timedelta(days=30)


class Base(DeclarativeBase):
    pass


class UserSession(Base):
    __tablename__ = "user_sessions"
    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=uuid.uuid4)
    session_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True, index=True)
    user_id: Mapped[str | None] = mapped_column(String(256), index=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=in_30_days, index=True)
    conversations: Mapped[list["Conversation"]] = relationship(back_populates="user_session", lazy="raise")


class Conversation(Base):
    __tablename__ = "conversations"
    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=uuid.uuid4)
    user_session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user_sessions.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now, index=True)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=in_30_days, index=True)
    user_session: Mapped[UserSession] = relationship(back_populates="conversations", lazy="raise")
    messages: Mapped[list["Message"]] = relationship(back_populates="conversation", lazy="raise")


class Message(Base):
    __tablename__ = "messages"
    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=uuid.uuid4)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), index=True)
    role: Mapped[str] = mapped_column(String(16))
    content: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), default="complete")
    model: Mapped[str | None] = mapped_column(String(128))
    confidence: Mapped[float | None] = mapped_column(Float)
    source_references: Mapped[dict | None] = mapped_column(JSON)
    prompt_tokens: Mapped[int] = mapped_column(Integer, default=0)
    completion_tokens: Mapped[int] = mapped_column(Integer, default=0)
    timestamp: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now, index=True)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=in_30_days, index=True)
    conversation: Mapped[Conversation] = relationship(back_populates="messages", lazy="raise")
    citations: Mapped[list["Citation"]] = relationship(back_populates="message", lazy="raise", order_by="Citation.n")


class Citation(Base):
    __tablename__ = "citations"
    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=uuid.uuid4)
    message_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    n: Mapped[int] = mapped_column(Integer)
    document_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    chunk_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    external_id: Mapped[str | None] = mapped_column(Text)
    title: Mapped[str | None] = mapped_column(Text)
    chapter: Mapped[str | None] = mapped_column(Text)
    section: Mapped[str | None] = mapped_column(Text)
    link: Mapped[str | None] = mapped_column(Text)
    content_excerpt: Mapped[str] = mapped_column(Text)
    start_byte: Mapped[int] = mapped_column(Integer)
    end_byte: Mapped[int] = mapped_column(Integer)
    confidence_score: Mapped[float] = mapped_column(Float)
    message: Mapped[Message] = relationship(back_populates="citations", lazy="raise")


def make_engine(url):
    """The usual pool settings of such a backend."""
    return create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=10, max_overflow=20, pool_timeout=30,
        pool_recycle=3600, pool_pre_ping=True, connect_args={"server_settings": {"search_path": SCHEMA}})


def make_sessions(engine):
    return async_sessionmaker(engine, expire_on_commit=False)
