"""Every table, once, for SQLite and PostgreSQL alike.

Instants are integer microseconds UTC (`_us`), JSON is text, sealed fields and documents are bytes: raw drivers need no
type processors. A name ending in `_id` is the number of a row; a parcel is also named by (carrier, number).
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts rows by an INTEGER primary key; PostgreSQL needs the wide one.
_Id = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", _Id, primary_key=True, autoincrement=True)


def _us(name: str, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _text(name: str, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _number(name: str, default: int = 0) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text(str(default)))


# ------------------------------------------------------------------------------------------------ what carriers told us

payloads = Table(
    "payloads",
    metadata,
    _id(),
    _text("carrier"),
    _text("source"),  # poll | push
    _text("digest"),  # sha256 hex of body
    Column("body", LargeBinary, nullable=False),
    _text("asked", "[]"),  # JSON list of the numbers a poll asked for
    _number("status", 200),
    _us("received_us"),
    _us("read_us", nullable=True),  # null: kept but not read yet
    _number("tries"),
    _text("error", ""),  # why it could not be read
    _number("late"),  # a push: seconds between the time its carrier states and its coming, when that is too many
    UniqueConstraint("carrier", "source", "digest"),
)
Index(
    "ix_payloads_unread", payloads.c.id, sqlite_where=text("read_us IS NULL"), postgresql_where=text("read_us IS NULL")
)

mentions = Table(  # which payload speaks of which number, registered or not
    "mentions",
    metadata,
    Column("payload_id", _Id, ForeignKey("payloads.id", ondelete="CASCADE"), primary_key=True),
    Column("carrier", Text, primary_key=True),
    Column("number", Text, primary_key=True),
)
Index("ix_mentions_carrier_number", mentions.c.carrier, mentions.c.number)

parcels = Table(
    "parcels",
    metadata,
    _id(),
    _text("carrier"),
    _text("number"),
    _text("merchant"),
    _text("purpose"),  # order | return | resend | exchange
    _text("shipment", "{}"),  # JSON: what we ourselves know (origin, destination, service, items)
    _us("created_us"),
    # the cache of the last conclusion, so that lookups read one row
    _text("leg", "out"),
    _text("status", "unknown"),
    _text("conclusion", "{}"),  # JSON, as `homeward explain` prints it
    _number("version"),  # counts conclusions that changed anything
    _number("sequence"),  # counts notices about this parcel
    _us("moved_us", nullable=True),  # newest event
    _us("ended_us", nullable=True),  # delivered, home, lost, destroyed or voided since
    # when to look again
    _us("checked_us", nullable=True),
    _us("next_poll_us", nullable=True),
    _us("review_us", nullable=True),
    # who is polling it (real time)
    _us("lease_us", nullable=True),
    _number("fence"),
    UniqueConstraint("carrier", "number"),
)
Index("ix_parcels_next_poll", parcels.c.carrier, parcels.c.next_poll_us)
Index("ix_parcels_review", parcels.c.review_us)
Index("ix_parcels_merchant", parcels.c.merchant, parcels.c.id)

sightings = Table(
    "sightings",
    metadata,
    _id(),
    Column("parcel_id", _Id, ForeignKey("parcels.id", ondelete="CASCADE"), nullable=False),
    _text("event_id"),
    _text("teller"),  # source + digest of what is told: the same telling twice is one row
    _text("source"),
    _text("payload_digest"),
    _us("received_us"),  # the earliest time this was told
    _us("at_us"),
    _text("event"),  # JSON of the Event
    UniqueConstraint("parcel_id", "event_id", "teller"),
)

told = Table(
    "told",
    metadata,
    _id(),
    Column("parcel_id", _Id, ForeignKey("parcels.id", ondelete="CASCADE"), nullable=False),
    _text("teller"),
    _text("payload_digest"),
    _us("received_us"),
    _text("told"),  # JSON of the Told
    UniqueConstraint("parcel_id", "teller"),
)

unknown_codes = Table(
    "unknown_codes",
    metadata,
    Column("carrier", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    _text("words"),
    _number("count"),
    _text("payload_digest"),  # a sample
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("carrier", Text, primary_key=True),
    Column("number", Text, primary_key=True),  # "*" for the account
    _text("state"),  # wanted | active | refused
    _us("renew_us"),
    _number("tries"),
)
Index("ix_subscriptions_renew", subscriptions.c.renew_us)

# --------------------------------------------------------------------------------------------------- orders and returns

orders = Table(
    "orders",
    metadata,
    _id(),
    _text("merchant"),
    _text("number"),
    _text("state"),
    _text("order", "{}"),  # JSON, without personal data
    Column("sealed", LargeBinary, nullable=True),  # address and contact, sealed
    _text("proof_email", ""),  # keyed hash of the normalised e-mail
    _text("proof_postcode", ""),
    _us("placed_us", nullable=True),
    _us("shipped_us", nullable=True),
    _us("created_us"),
    _us("updated_us"),
    _number("version"),
    UniqueConstraint("merchant", "number"),
)

Index("ix_orders_number", orders.c.number)

order_parcels = Table(
    "order_parcels",
    metadata,
    Column("order_id", _Id, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    Column("parcel_id", _Id, ForeignKey("parcels.id", ondelete="CASCADE"), primary_key=True),
    _text("items", "[]"),
)
Index("ix_order_parcels_parcel_id", order_parcels.c.parcel_id)

returns = Table(
    "returns",
    metadata,
    _id(),
    _text("merchant"),
    _text("number"),
    _text("state"),
    _text("return", "{}"),
    Column("sealed", LargeBinary, nullable=True),
    Column("parcel_id", _Id, ForeignKey("parcels.id"), nullable=True),
    _us("created_us"),
    _us("updated_us"),
    _number("version"),
    UniqueConstraint("number"),
)
Index("ix_returns_parcel_id", returns.c.parcel_id)

return_orders = Table(
    "return_orders",
    metadata,
    Column("return_id", _Id, ForeignKey("returns.id", ondelete="CASCADE"), primary_key=True),
    Column("order_id", _Id, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    _text("items", "[]"),
)
Index("ix_return_orders_order_id", return_orders.c.order_id)

# --------------------------------------------------------------------------------------------------- what costs money

purchases = Table(
    "purchases",
    metadata,
    Column("id", Text, primary_key=True),  # UUID4, also the key at USPS
    _text("operation"),  # label | void | intercept
    _text("carrier"),
    _text("subject"),  # "return:12", "parcel:7"
    _number("generation"),
    _text("reference"),
    _text("state"),  # PLANNED SENDING BOUGHT ISSUED REJECTED UNKNOWN NEEDS_HUMAN VOIDING VOIDED ...
    _text("prepared"),  # JSON without the body
    Column("body", LargeBinary, nullable=False),
    _text("body_digest"),
    _text("outcome", "{}"),
    _number("attempt"),
    _number("fence"),
    _us("lease_us", nullable=True),
    _us("sent_us", nullable=True),
    _us("next_us", nullable=True),
    _us("created_us"),
    _us("updated_us"),
    _text("caller", ""),  # whose API key asked
    _number("spend"),  # hundredths: the most it may cost while it is open, then its price, 0 once nothing was bought
    _us("admitted_us", nullable=True),  # real time
    _us("audit_us", nullable=True),  # real time: when the carrier is asked again what it holds
    UniqueConstraint("subject", "operation", "generation"),
)
Index("ix_purchases_state_next", purchases.c.state, purchases.c.next_us)
Index("ix_purchases_admitted", purchases.c.admitted_us)
Index("ix_purchases_audit", purchases.c.audit_us)
Index("ix_purchases_reference", purchases.c.reference)

labels = Table(
    "labels",
    metadata,
    _id(),
    Column("purchase_id", Text, ForeignKey("purchases.id"), nullable=False),
    _text("carrier"),
    _text("number"),
    _text("shipment_id", ""),
    _text("state"),  # live | held | surplus | voiding | voided | voided_here | used
    _text("price", ""),
    _text("currency", ""),
    _us("bought_us"),
    _text("note", ""),  # why it is not live
    _number("since_us"),  # real time: in this state since
    _us("ended_us", nullable=True),  # story time: void since
    UniqueConstraint("carrier", "number"),
)
Index("ix_labels_state", labels.c.state, labels.c.since_us)
Index("ix_labels_purchase_id", labels.c.purchase_id)

money = Table(  # what a label cost and brought back, line by line; never changed
    "money",
    metadata,
    _id(),
    Column("label_id", _Id, ForeignKey("labels.id"), nullable=False),
    _text("name"),  # said once per label: "price", "refund", "surcharge/..."
    _text("kind"),  # price | surcharge | refund
    _text("amount", ""),  # empty: the carrier did not say
    _text("currency", ""),
    _text("note", ""),
    _us("at_us"),  # story time
    UniqueConstraint("label_id", "name"),
)

documents = Table(
    "documents",
    metadata,
    Column("label_id", _Id, ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True),
    Column("format", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    _text("digest"),  # sha256 of the plain bytes
    _number("size"),
)

# ------------------------------------------------------------------------------------------------------ what we tell

outbox = Table(
    "outbox",
    metadata,
    _id(),
    _text("notice_id"),  # stable webhook-id
    _text("subject"),  # "parcel:7", "order:3", "return:2", "alert:5"
    _text("name"),  # the verdict's name, said once per subject
    _text("type"),
    _number("sequence"),
    _us("at_us"),  # story time
    _text("data"),  # JSON: the full state
    _us("spread_us", nullable=True),  # deliveries made from it
    _us("alerted_us", nullable=True),  # looked at for alerts
    UniqueConstraint("subject", "name"),
    UniqueConstraint("notice_id"),
)
Index(
    "ix_outbox_unspread",
    outbox.c.id,
    sqlite_where=text("spread_us IS NULL"),
    postgresql_where=text("spread_us IS NULL"),
)
Index(
    "ix_outbox_unalerted",
    outbox.c.id,
    sqlite_where=text("alerted_us IS NULL"),
    postgresql_where=text("alerted_us IS NULL"),
)

sequences = Table(  # how many notices a subject has; its row is the lock that keeps them in order
    "sequences",
    metadata,
    Column("subject", Text, primary_key=True),
    _number("value"),
)

endpoints = Table(
    "endpoints",
    metadata,
    _id(),
    _text("url"),
    Column("secret", LargeBinary, nullable=False),  # sealed
    _text("events", "[]"),  # JSON list; empty: everything
    _text("state", "active"),  # active | paused | disabled
    _us("created_us"),
    # real time
    Column("old_secret", LargeBinary, nullable=True),  # sealed: signs too, until then
    _us("old_until_us", nullable=True),
    _us("failing_us", nullable=True),  # nothing arrived since
    _us("probe_us", nullable=True),  # while it is paused: when one notice is tried
    UniqueConstraint("url"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    Column("endpoint_id", _Id, ForeignKey("endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("outbox_id", _Id, ForeignKey("outbox.id", ondelete="CASCADE"), nullable=False),
    _text("state", "due"),  # due | done | failed
    _number("tries"),
    _us("next_us", nullable=True),  # real time
    _us("done_us", nullable=True),
    _number("status"),
    _text("detail", ""),
    UniqueConstraint("endpoint_id", "outbox_id"),
)
Index("ix_deliveries_due", deliveries.c.endpoint_id, deliveries.c.state, deliveries.c.next_us)

tries = Table(
    "tries",
    metadata,
    _id(),
    Column("delivery_id", _Id, ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False),
    _us("at_us"),
    _number("status"),
    _number("took_ms"),
    _text("answer", ""),  # first 200 bytes
    _text("detail", ""),  # why there was no answer
)
Index("ix_tries_delivery_id", tries.c.delivery_id)

alerts = Table(
    "alerts",
    metadata,
    _id(),
    _text("key"),  # one alert per key, opened again when it comes back
    _text("subject", ""),  # what it is about, as in the outbox
    _text("rung"),  # the step of the ladder: attempt_1, attempt_2, undeliverable, unreadable, ...
    _text("severity"),  # info | warning | critical
    _text("merchant", ""),
    _text("carrier", ""),
    _text("title"),
    _text("action", ""),  # what to do next
    _text("data", "{}"),
    _us("opened_us"),
    _us("acked_us", nullable=True),
    _text("acked_by", ""),
    _us("cleared_us", nullable=True),
    _number("count", 1),
    UniqueConstraint("key"),
)
Index("ix_alerts_open", alerts.c.cleared_us, alerts.c.id)
Index("ix_alerts_subject", alerts.c.subject)

# --------------------------------------------------------------------------------------------------------- who may ask

api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    _text("hash"),  # keyed hash of the key
    _text("hint"),  # its first characters
    _text("name"),
    _text("scopes", "[]"),
    _us("created_us"),
    _us("used_us", nullable=True),
    _us("revoked_us", nullable=True),
    UniqueConstraint("hash"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    _text("body_digest"),
    _text("state"),  # running | done
    _number("status"),
    Column("answer", LargeBinary, nullable=True),
    _us("created_us"),
)

links = Table(  # signed links to the follow pages
    "links",
    metadata,
    _id(),
    _text("hash"),  # sha256 hex of the token
    _text("kind"),  # order | return
    _text("merchant"),
    _text("number"),
    _us("created_us"),
    _us("ends_us"),  # story time: at the latest
    _us("revoked_us", nullable=True),
    UniqueConstraint("hash"),
)

settings = Table(  # small facts about this installation: its schema's make, the story clock, a kill switch
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    _text("value"),
)
