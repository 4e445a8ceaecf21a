"""Tables of the QA store and of the example shop's orders, on one MetaData of their own."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Named constraints: Alembic can only alter on PostgreSQL what has a name it can foretell.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Base(DeclarativeBase):
    """Declarative base of this package's tables."""

    metadata = metadata


class QaSource(Base):
    """Where pairs came from: one row a file that was imported."""

    __tablename__ = "qa_source"

    name: Mapped[str] = mapped_column(String(300), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))  # yaml or csv
    sha256: Mapped[str] = mapped_column(String(64))
    pairs: Mapped[int] = mapped_column(Integer)
    imported_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class QaPair(Base):
    """A question that the company has answered, with the answer to give."""

    __tablename__ = "qa_pair"

    id: Mapped[str] = mapped_column(String(120), primary_key=True)
    intent: Mapped[str] = mapped_column(String(120), index=True)
    category: Mapped[str] = mapped_column(String(120))
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(ForeignKey("qa_source.name"), index=True)
    fingerprint: Mapped[str] = mapped_column(String(64))  # sha256 of the pair as it was read
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    # A person changed it: an import of its file leaves it as it is.
    edited: Mapped[bool] = mapped_column(Boolean, server_default=false())
    revision: Mapped[int] = mapped_column(Integer, server_default=text("0"))  # 0: never changed
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class QaRevision(Base):
    """What a pair was from one change on to the next; number 0 is what it was before the first."""

    __tablename__ = "qa_revision"
    __table_args__ = (UniqueConstraint("pair_id", "number"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    pair_id: Mapped[str] = mapped_column(ForeignKey("qa_pair.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    actor: Mapped[str] = mapped_column(String(200))
    note: Mapped[str | None] = mapped_column(Text)
    # The conversation that the new wordings came from, if a customer wrote them.
    conversation_id: Mapped[str | None] = mapped_column(Text, index=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class QaVariant(Base):
    """One wording of a pair's question; its vectors are rows of `qa_vector`."""

    __tablename__ = "qa_variant"
    __table_args__ = (UniqueConstraint("pair_id", "position"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    pair_id: Mapped[str] = mapped_column(ForeignKey("qa_pair.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)  # 0 is the question itself
    text: Mapped[str] = mapped_column(Text)
    # The conversation in which a customer wrote it; NULL for the company's own words.
    conversation_id: Mapped[str | None] = mapped_column(Text, index=True)


class QaVector(Base):
    """A wording as one embedder sees it; the sets of several embedders lie side by side."""

    __tablename__ = "qa_vector"

    variant_id: Mapped[int] = mapped_column(
        ForeignKey("qa_variant.id", ondelete="CASCADE"), primary_key=True
    )
    embedder: Mapped[str] = mapped_column(String(200), primary_key=True)
    embedding: Mapped[bytes] = mapped_column(LargeBinary)  # float32, little-endian


class QaScale(Base):
    """The calibration of the store as one embedder sees it: written when its set is whole."""

    __tablename__ = "qa_scale"

    embedder: Mapped[str] = mapped_column(String(200), primary_key=True)
    calibration: Mapped[dict[str, Any]] = mapped_column(JSON)
    used_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))  # fitted, or chosen again


class QaState(Base):
    """The one row that says which version the store has and how it is calibrated."""

    __tablename__ = "qa_state"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(Integer)
    embedder: Mapped[str] = mapped_column(String(200))
    answer_threshold: Mapped[float] = mapped_column(Float)
    offer_threshold: Mapped[float] = mapped_column(Float)
    calibration: Mapped[dict[str, Any]] = mapped_column(JSON)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ShopOrder(Base):
    """An order of the example shop."""

    __tablename__ = "shop_order"

    order_number: Mapped[str] = mapped_column(String(20), primary_key=True)
    email: Mapped[str] = mapped_column(String(320), index=True)
    customer_name: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(30))
    placed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    promised_on: Mapped[date | None] = mapped_column(Date)
    delivered_on: Mapped[date | None] = mapped_column(Date)
    carrier: Mapped[str] = mapped_column(String(80))
    tracking: Mapped[str | None] = mapped_column(String(80))
    method: Mapped[str] = mapped_column(String(30))
    address: Mapped[str] = mapped_column(Text)
    country: Mapped[str] = mapped_column(String(80))
    items: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    # Set on seed orders only: their dates move with the calendar, so a demo never ages.
    seeded_on: Mapped[date | None] = mapped_column(Date)


class OrderOperation(Base):
    """What was done to an order for which message: a retry finds its own earlier result."""

    __tablename__ = "order_operation"
    __table_args__ = (
        UniqueConstraint("operation", "key"),
        Index("ix_order_operation_order_number", "order_number"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    order_number: Mapped[str] = mapped_column(ForeignKey("shop_order.order_number"))
    operation: Mapped[str] = mapped_column(String(30))
    key: Mapped[str] = mapped_column(String(300))  # the conversation and the message's id
    result: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
