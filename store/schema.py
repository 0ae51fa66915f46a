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
    func,
    literal_column,
    select,
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
    _us("lease_us", nullable=True),  # real time: somebody reads it until then
    _number("tries"),
    _text("error", ""),  # why it could not be read
    _number("late"),  # a push: seconds between the time its carrier states and its coming, when that is too many
    UniqueConstraint("carrier", "source", "digest"),
)
Index(
    "ix_payloads_unread", payloads.c.id, sqlite_where=text("read_us IS NULL"), postgresql_where=text("read_us IS NULL")
)
Index("ix_payloads_newest", payloads.c.carrier, payloads.c.source, payloads.c.received_us)
Index("ix_payloads_late", payloads.c.carrier, sqlite_where=text("late > 0"), postgresql_where=text("late > 0"))

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
    # of the last conclusion what is searched for
    _text("leg", "out"),
    _text("status", "unknown"),
    _number("version"),  # counts conclusions that changed anything
    _number("sequence"),  # counts notices about this parcel
    _us("moved_us", nullable=True),  # newest event
    _us("ended_us", nullable=True),  # delivered, home, lost, destroyed or voided since
    # when to look again
    _us("checked_us", nullable=True),
    _us("next_poll_us", nullable=True),
    _us("stale_us", nullable=True),  # from then on it is older news than promised, unless its carrier was asked
    _us("review_us", nullable=True),
    # who is polling it (real time)
    _us("lease_us", nullable=True),
    _number("fence"),
    UniqueConstraint("carrier", "number"),
)
Index("ix_parcels_next_poll", parcels.c.carrier, parcels.c.next_poll_us)
Index("ix_parcels_review", parcels.c.review_us)
Index("ix_parcels_merchant", parcels.c.merchant, parcels.c.id)
# what the desk looks for among very many that are over
Index(
    "ix_parcels_followed",
    parcels.c.id,
    sqlite_where=text("next_poll_us IS NOT NULL"),
    postgresql_where=text("next_poll_us IS NOT NULL"),
)
Index("ix_parcels_open", parcels.c.id, sqlite_where=text("ended_us IS NULL"), postgresql_where=text("ended_us IS NULL"))
Index(
    "ix_parcels_home",
    parcels.c.id,
    sqlite_where=text("leg = 'back' OR status = 'undeliverable'"),
    postgresql_where=text("leg = 'back' OR status = 'undeliverable'"),
)

conclusions = Table(  # apart from `parcels`, whose rows every poll writes twice (docs/decisions/0076)
    "conclusions",
    metadata,
    Column("parcel_id", _Id, ForeignKey("parcels.id", ondelete="CASCADE"), primary_key=True),
    _text("conclusion"),  # JSON, as `homeward explain` prints it
)
concluded = func.coalesce(
    select(conclusions.c.conclusion).where(conclusions.c.parcel_id == parcels.c.id).scalar_subquery(),
    literal_column("'{}'"),
).label("conclusion")
"""The last conclusion, beside a parcel's row; "{}" before the first."""

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
    _us("review_us", nullable=True),  # story time: when it has waited too long, is lost, or its label ends
    UniqueConstraint("number"),
)
Index("ix_returns_parcel_id", returns.c.parcel_id)
Index("ix_returns_review_us", returns.c.review_us)
Index("ix_returns_state", returns.c.state, returns.c.updated_us)

return_orders = Table(
    "return_orders",
    metadata,
    Column("return_id", _Id, ForeignKey("returns.id", ondelete="CASCADE"), primary_key=True),
    Column("order_id", _Id, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    _text("items", "[]"),
)
Index("ix_return_orders_order_id", return_orders.c.order_id)

dispatches = Table(  # what leaves the warehouse because of a return: rejected goods, replacements
    "dispatches",
    metadata,
    _id(),
    Column("return_id", _Id, ForeignKey("returns.id", ondelete="CASCADE"), nullable=False),
    _text("name"),  # once per return: "resend", "exchange/3"
    _text("kind"),  # resend | exchange
    _text("loads"),  # JSON: of which order, which items
    _text("payer"),  # shop | customer
    Column("parcel_id", _Id, ForeignKey("parcels.id"), nullable=True),
    _text("why", ""),  # why there is no label
    _us("next_us", nullable=True),  # real time: when its label is planned; null: it was, or it cannot be
    _us("created_us"),
    UniqueConstraint("return_id", "name"),
)
Index("ix_dispatches_next_us", dispatches.c.next_us)

homecomings = Table(  # undeliverable parcels that the warehouse has again
    "homecomings",
    metadata,
    Column("parcel_id", _Id, ForeignKey("parcels.id", ondelete="CASCADE"), primary_key=True),
    _us("received_us"),
    _text("teller"),  # scan | warehouse
    _text("settlement"),  # JSON: reason, lines of money
)

unidentified = Table(  # numbers (and boxes without one) that nobody registered, until somebody knows whose they are
    "unidentified",
    metadata,
    _id(),
    _text("carrier", ""),  # empty: nobody knows
    Column("number", Text, nullable=True),  # null: a box without one
    _text("source"),  # push | told | keyed
    _text("state", "new"),  # new | open | elsewhere | known | matched | dismissed
    _text("merchant", ""),
    _text("order_number", ""),  # as it stands on the box
    _text("name_mark", ""),  # keyed hash of the name on the box
    Column("note", LargeBinary, nullable=True),  # sealed: what whoever keyed it in wrote
    _text("told_by", ""),  # the parcel whose carrier told this number: "carrier number"
    _text("clue", "{}"),  # JSON: what is known of it
    _text("candidates", "[]"),  # JSON: the best ones, each with its score and reasons
    _text("outcome", "{}"),  # JSON: whose it is, or why it is nobody's
    _text("decided_by", ""),
    _us("created_us"),
    _us("updated_us"),
    _us("due_us", nullable=True),  # story time: when it is judged
    _us("asked_us", nullable=True),  # the carrier was asked about it, once
    UniqueConstraint("carrier", "number"),
)
Index("ix_unidentified_due", unidentified.c.due_us)
Index("ix_unidentified_state", unidentified.c.state, unidentified.c.id)

parcel_links = Table(  # a parcel that travels home under a number of its own, and the parcel that it is
    "parcel_links",
    metadata,
    Column("further_id", _Id, ForeignKey("parcels.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("parcel_id", _Id, ForeignKey("parcels.id", ondelete="CASCADE"), nullable=False),
    _us("since_us"),
    _text("by"),  # "score", or who confirmed it
    _text("score", ""),
    _text("because", "[]"),  # JSON: a sentence for each reason
)
Index("ix_parcel_links_parcel_id", parcel_links.c.parcel_id)

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
Index("ix_purchases_counted", purchases.c.carrier, purchases.c.operation, purchases.c.state)

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

cases = Table(  # a parcel's way back to the warehouse: what was concluded, and what we did about it
    "cases",
    metadata,
    Column("parcel_id", _Id, ForeignKey("parcels.id", ondelete="CASCADE"), primary_key=True),
    _text("state", ""),  # as concluded: expected ... cancelled; empty: the evidence for it is gone
    _text("step", ""),  # what we did: asking | requested | left_to_carrier
    _us("acted_us", nullable=True),  # story time
    _text("why", ""),
    _text("purchase_id", ""),
    _us("withdrawn_us", nullable=True),  # story time: the order to bring it back is no longer in force
    _us("next_us", nullable=True),  # real time: when somebody sees what is to be done
    _number("tries"),
)
Index("ix_cases_next", cases.c.next_us)

money = Table(  # what a label or a way home cost and brought back, line by line; never changed
    "money",
    metadata,
    _id(),
    Column("label_id", _Id, ForeignKey("labels.id"), nullable=True),
    Column("case_id", _Id, ForeignKey("cases.parcel_id", ondelete="CASCADE"), nullable=True),
    _text("name"),  # said once per label or case: "price", "refund", "intercept", "surcharge/..."
    _text("kind"),  # price | surcharge | refund
    _text("amount", ""),  # empty: the carrier did not say
    _text("currency", ""),
    _text("note", ""),
    _us("at_us"),  # story time
    UniqueConstraint("label_id", "name"),
    UniqueConstraint("case_id", "name"),
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

# ----------------------------------------------------------------------------------- papers, and how they change hands

carrier_answers = Table(  # what a carrier said of an address, kept for a day so that its quota is not spent twice
    "carrier_answers",
    metadata,
    Column("mark", Text, primary_key=True),  # keyed hash of the question
    Column("sealed", LargeBinary, nullable=False),
    _us("until_us"),  # real time
)
Index("ix_carrier_answers_until", carrier_answers.c.until_us)

mails = Table(
    "mails",
    metadata,
    _id(),
    _text("subject"),  # "return:12"
    _text("name"),  # said once per subject: label, recipient's mark, which time
    _text("state"),  # due | sending | sent | failed | erased
    _text("message_id"),
    _text("to_mark"),  # keyed hash of the address
    _text("number"),  # the label's
    _text("language"),
    Column("sealed", LargeBinary, nullable=True),  # sender, recipient and the whole message; gone once it was sent
    _number("tries"),
    _us("next_us", nullable=True),  # real time: when it is due, or when its sender's lease ends
    _text("detail", ""),  # the mail server's words when it was not taken
    _us("created_us"),  # story time
    _us("sent_us", nullable=True),  # story time
    UniqueConstraint("subject", "name"),
)
Index("ix_mails_due", mails.c.next_us)

pickups = Table(
    "pickups",
    metadata,
    _id(),
    Column("return_id", _Id, ForeignKey("returns.id", ondelete="CASCADE"), nullable=False),
    _text("day"),  # YYYY-MM-DD where it is collected
    _text("state"),  # wanted | booked | dispatched | done | not_done | refused | cancelling | cancelled
    _text("carrier"),
    _text("window"),  # HH:MM-HH:MM there
    Column("sealed", LargeBinary, nullable=True),  # the whole request, with the address
    _text("confirmation", ""),
    _text("price", ""),
    _text("currency", ""),
    _text("words", ""),  # the carrier's
    _number("tries"),
    _us("next_us", nullable=True),  # real time: when somebody is to take it up
    _us("checked_us", nullable=True),  # story time: when the carrier was last asked about it
    _us("created_us"),
    _us("updated_us"),
    _number("version"),
    UniqueConstraint("return_id", "day"),
)
Index("ix_pickups_due", pickups.c.next_us)

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
    _us("followed_us", nullable=True),  # a parcel's change of status: its return has followed
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

Index(
    "ix_outbox_unfollowed",
    outbox.c.id,
    sqlite_where=text("followed_us IS NULL AND type = 'parcel.status_changed'"),
    postgresql_where=text("followed_us IS NULL AND type = 'parcel.status_changed'"),
)

Index("ix_outbox_type", outbox.c.type, outbox.c.at_us)

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
    _text("alerts", "{}"),  # JSON: which alerts it hears, by severity, merchants and carriers; empty: every one
    _us("hold_us", nullable=True),  # it asked to be left alone until then (429 or 503 with Retry-After)
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
Index("ix_deliveries_endpoint", deliveries.c.endpoint_id, deliveries.c.id)
Index(
    "ix_deliveries_open",
    deliveries.c.endpoint_id,
    deliveries.c.state,
    deliveries.c.next_us,
    sqlite_where=text("state <> 'done'"),
    postgresql_where=text("state <> 'done'"),
)

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

tellings = Table(  # what a channel is told of an alert, or a day's digest: each outbox row once
    "tellings",
    metadata,
    _id(),
    _text("channel"),
    Column("outbox_id", _Id, ForeignKey("outbox.id", ondelete="CASCADE"), nullable=False),
    _text("subject"),
    _text("what"),  # raised | cleared | digest
    _text("state"),  # due | held (muted now) | done | muted (over before anybody wanted to hear it)
    _number("tries"),
    _us("next_us", nullable=True),  # real time
    _us("done_us", nullable=True),
    _text("detail", ""),  # why the last try failed
    UniqueConstraint("channel", "outbox_id"),
)
Index("ix_tellings_due", tellings.c.channel, tellings.c.state, tellings.c.next_us)
Index("ix_tellings_subject", tellings.c.subject, tellings.c.channel)
Index("ix_tellings_outbox_id", tellings.c.outbox_id)

mutes = Table(  # alerts that nobody wants to hear of for a while, by a pattern of their keys
    "mutes",
    metadata,
    _id(),
    _text("pattern"),
    _us("until_us"),  # story time
    _text("by", ""),
    _text("why", ""),
    _us("created_us"),
    _us("lifted_us", nullable=True),
)

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
    _us("expires_us", nullable=True),  # real time
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

# ------------------------------------------------------------------------------------------------------- many machines

machines = Table(  # the processes of this installation, on PostgreSQL; real time
    "machines",
    metadata,
    Column("id", Text, primary_key=True),
    _text("role"),  # web | work | serve
    _us("started_us"),
    _us("seen_us"),
)

leases = Table(  # what only one process does at a time; real time
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    _text("holder"),  # a machine's id
    _us("until_us"),
    _number("fence"),
)
