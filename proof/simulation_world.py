"""One parcel's whole world in virtual time: its carrier, a service that dies between any two steps, and a receiver.

What the service keeps changes in commits only, each whole or not at all; what it merely knows is gone when it dies. The
decisions are the service's own, imported: reading, fold, policy, polling's tiers, the notices' schedule, purchases.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec

from fleet.clocks import to_us
from proof.purchase_simulation import Kind, Life
from proof.simulation_scripts import Saying, Script
from spending.machine import LabelState, Pace, State
from tracker.judging import corrections as _corrections
from tracker.lifecycle import Parcel, Sighting, Telling, fold
from tracker.policy import CaseState, Conclusion, Verdict, conclude, verdicts
from tracker.polling import next_poll
from tracker.wayhome import Deed, Step
from webhooks.notices import body, is_public
from webhooks.outbound import Answer, next_wait

PUSHES = ("push lost", "push doubled", "push late", "push out of order", "killed over a push", "no answer to a push")
POLLS = ("carrier away", "answer lost", "old answer")
STEPS = (
    "killed before a commit", "killed after a commit", "commit lost on its way", "commit's answer lost",
    "two at one payload", "two at one order", "asleep for three hours", "clock a day ahead", "clock a day behind",
    "registered late",
)  # fmt: skip
NOTICES = ("receiver down", "receiver's answer lost", "refused after taking it", "killed after sending", "woke up late")
FAULTS = (*PUSHES, *POLLS, *STEPS, *NOTICES)
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
LEASE = 20 * SECOND
LAST_DAY = datetime.max.replace(tzinfo=UTC)
LAST = 100 * DAY  # nothing takes longer than that after the end of the story
Action = Callable[[], None]


class Died(Exception):
    """The process: whatever it knew and had not kept is gone."""


class Unanswered(Exception):
    """Nobody can say whether the commit was kept."""


@dataclass(slots=True)
class Kept:
    """A payload in the book."""

    saying: Saying
    due: datetime
    is_read: bool = False


@dataclass(slots=True)
class Notice:
    """A row of the outbox, and its delivery to the one receiver."""

    id: str
    name: str
    type: str
    sequence: int
    at: datetime
    data: str
    next_at: datetime
    state: str = "due"
    tries: int = 0
    fence: int = 0


@dataclass(slots=True)
class World:
    script: Script
    dice: Random
    armed: dict[str, datetime]  # a fault, and from when on it strikes, at its next occasion
    passing: dict[str, int] = field(default_factory=dict)  # how many occasions it lets pass before
    struck: Counter[str] = field(default_factory=Counter)
    log: list[str] | None = None
    # what the service keeps
    payloads: dict[str, Kept] = field(default_factory=dict)
    unread: dict[str, Kept] = field(default_factory=dict)
    sightings: dict[tuple[str, int], Sighting] = field(default_factory=dict)
    tellings: dict[int, Telling] = field(default_factory=dict)
    trail: list[int] = field(default_factory=list)  # names all of it, in the order of its coming
    conclusion: Conclusion | None = None
    said: dict[str, Notice] = field(default_factory=dict)
    owed: dict[str, Notice] = field(default_factory=dict)
    sequence: int = 0
    judged: set[str] = field(default_factory=set)  # every verdict that was kept: each must be said
    polled_next: datetime | None = None
    review_at: datetime | None = None
    is_registered: bool = False
    order_due: datetime | None = None
    deed: Deed | None = None
    lives: dict[str, Life] = field(default_factory=dict)  # purchases by name, as their own machine keeps them
    # the world around it
    outside: list[tuple[datetime, int, Action]] = field(default_factory=list)
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    book: list[str] = field(default_factory=list)
    now: datetime = field(init=False)
    skew: timedelta = timedelta()
    down_until: datetime = field(init=False)
    away_until: datetime = field(init=False)
    deaf_until: datetime = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self.now = self.down_until = self.away_until = self.deaf_until = self.script.starts_at
        self.polled_next = self.script.starts_at

    # -------------------------------------------------------------------------------------------------------- faults

    def hit(self, fault: str, at: datetime | None = None) -> bool:
        """Whether this is the occasion at which the fault strikes."""
        since = self.armed.get(fault)
        if since is None or since > (at or self.now):
            return False
        if self.passing.get(fault, 0) > 0:
            self.passing[fault] -= 1
            return False
        del self.armed[fault]
        self.struck[fault] += 1
        self._note(fault)
        return True

    def commit(self, change: Action) -> None:
        """All of it or nothing; and who asked for it may die, or never hear which."""
        if self.hit("killed before a commit"):
            raise Died
        if self.hit("commit lost on its way"):
            raise Unanswered
        change()
        if self.hit("killed after a commit"):
            raise Died
        if self.hit("commit's answer lost"):
            raise Unanswered

    def _note(self, what: str) -> None:
        if self.log is not None:
            self.log.append(f"{self.now:%m-%d %H:%M:%S} {what}")

    def later(self, at: datetime, action: Action) -> None:
        self._count += 1
        heapq.heappush(self.outside, (at, self._count, action))

    @property
    def clock(self) -> datetime:
        """The time as the service reads it."""
        return self.now + self.skew

    @property
    def story(self) -> datetime:
        """The same for what is concluded: the street's truth is that of the end, so time stands still then."""
        return min(self.clock, self.script.ends_at)

    # ---------------------------------------------------------------------------------------------------- the carrier

    def set_out(self) -> None:
        """Everything that the carrier will post, with what goes wrong on the way."""
        for due, saying in self.script.pushes:
            if self.hit("push lost", due):
                continue
            if self.hit("push late", due):
                due += 3 * DAY * self.dice.random()
            if self.hit("push out of order", due):
                due += 8 * HOUR * self.dice.random()
            self.later(due, lambda saying=saying: self.post(saying))  # type: ignore[misc]
            if self.hit("push doubled", due):
                self.later(due + HOUR * self.dice.random(), lambda saying=saying: self.post(saying))  # type: ignore[misc]
        if self.script.known.purpose == "return":
            self.buy("label", Kind(self.dice.choice(list(Kind))))
        self.later(
            self.now + (2 * DAY * self.dice.random() if self.hit("registered late", LAST_DAY) else 0 * DAY),
            self.register,
        )

    def post(self, saying: Saying, tries: int = 0) -> None:
        """A push. Without a 200 the carrier tries again, and gives up after a while."""
        try:
            if self.now < self.down_until:
                raise Unanswered
            if self.hit("killed over a push"):
                raise Died
            self.keep(saying)
            if self.hit("no answer to a push"):
                raise Unanswered
            self.acknowledged.add(saying.digest)
        except (Died, Unanswered) as error:
            if isinstance(error, Died):
                self._die()
            if tries < 3:
                self.later(self.now + 5 * MINUTE, lambda: self.post(saying, tries + 1))

    # ---------------------------------------------------------------------------------------------------- the service

    def _die(self) -> None:
        self.down_until = self.now + 60 * SECOND * self.dice.random()

    def keep(self, saying: Saying) -> None:
        if saying.digest not in self.payloads:
            self.commit(lambda: self._keep(saying))

    def _keep(self, saying: Saying) -> None:
        self.payloads[saying.digest] = self.unread[saying.digest] = Kept(saying, self.now)

    def register(self) -> None:
        """The order service says that it exists; it asks until it is answered."""
        try:
            if self.now < self.down_until:
                raise Unanswered
            self.commit(self._register)
        except (Died, Unanswered) as error:
            if isinstance(error, Died):
                self._die()
            self.later(self.now + MINUTE, self.register)

    def _register(self) -> None:
        if not self.is_registered:
            self.is_registered, self.review_at = True, self.story

    def due(self) -> datetime | None:
        """When the service has something to do next."""
        times = [kept.due for kept in self.unread.values()]
        if self.is_registered:
            times += [at - self.skew for at in (self.polled_next, self.order_due) if at is not None]
            if self.review_at is not None and self.review_at <= self.script.ends_at:
                times.append(self.review_at - self.skew)
        times += [notice.next_at for notice in self.owed.values()]
        return max(min(times), self.down_until) if times else None

    def work(self) -> None:
        """Everything that is due, in the order of the sweeps. A death leaves the rest to whoever starts next."""
        if self.hit("asleep for three hours"):
            self.down_until = self.now + 3 * HOUR
            return
        for fault, days in (("clock a day ahead", 1), ("clock a day behind", -1)):
            if self.hit(fault):
                self.skew = days * DAY
                self.later(self.now + 6 * HOUR * self.dice.random(), self._set_clock)
        try:
            for kept in [each for each in self.unread.values() if each.due <= self.now]:
                self.read(kept)
            if self.is_registered:
                if self.polled_next is not None and self.polled_next <= self.clock:
                    self.poll()
                if self.review_at is not None and self.review_at <= self.story:
                    self.commit(self.conclude)
                if self.order_due is not None and self.order_due <= self.clock:
                    self.order()
            for notice in [each for each in self.owed.values() if each.next_at <= self.now]:
                self.deliver(notice)
        except Died:
            self._die()
        except Unanswered:
            self.now += SECOND  # the next sweep finds out what was kept

    def _set_clock(self) -> None:
        self.skew = timedelta()

    # ------------------------------------------------------------------------------------------------- what was told

    def read(self, kept: Kept) -> None:
        """Taken under a lease, then read, concluded and said in one commit."""
        self.commit(lambda: setattr(kept, "due", self.now + LEASE))
        self.commit(lambda: self.enter(kept))
        if self.hit("two at one payload"):
            self.commit(lambda: self.enter(kept))

    def enter(self, kept: Kept) -> None:
        if kept.is_read:
            return
        kept.is_read = True
        del self.unread[kept.saying.digest]
        if self.is_registered and self.tell([kept.saying]):
            self.conclude()

    def tell(self, sayings: Iterable[Saying]) -> bool:
        """Enter what was said; whether any of it is new."""
        news = False
        for saying in sayings:
            for each in saying.sightings:
                key = (str(each.source), id(each.event))
                if key not in self.sightings:
                    self.sightings[key], news = each, True
                    self.trail.append(hash(key))
            for told in saying.tellings:
                before = self.tellings.get(id(told.told))
                if before is None or told.digest < before.digest:
                    self.tellings[id(told.told)], news = told, True
                    self.trail.append(hash((id(told.told), told.digest)))
        return news

    def conclude(self) -> None:
        """Fold, judge, keep it and say what is new. The first time what came before the registration is entered."""
        before, story = self.conclusion, self.story
        if before is None:
            self.tell(kept.saying for kept in self.payloads.values() if kept.is_read)
        parcel = self.folded()
        after = conclude(parcel, self.script.terms, story, self.deed)
        self.conclusion, self.review_at = after, after.review_at
        asked = self.after(after, self.clock)
        if asked and (self.polled_next is None or asked < self.polled_next):
            self.polled_next = asked
        was = (str(before.leg), str(before.status)) if before else ("", "")
        for verdict in [*verdicts(after, was), *(_corrections(_view(before), _view(after)) if before else ())]:
            self.judged.add(verdict.name)
            self.say(verdict, after)
        if after.case and after.case.state is CaseState.EXPECTED and not self.deed and not self.lives.get("order"):
            self.order_due = self.clock

    def folded(self) -> Parcel:
        """What all of it comes to; the same things told in the same order are folded once for all worlds."""
        key = tuple(self.trail)
        if (parcel := self.script.folds.get(key)) is None:
            parcel = fold(self.sightings.values(), self.tellings.values(), self.script.known)
            self.script.folds[key] = parcel
        return parcel

    def say(self, verdict: Verdict, conclusion: Conclusion) -> None:
        """Once for each name."""
        if self.was_said(verdict.name):
            return
        self.sequence += 1
        data = {"name": verdict.name, "status": conclusion.status, "leg": conclusion.leg, **verdict.extra}
        notice = self.said[verdict.name] = Notice(
            f"msg_{self.dice.getrandbits(64):x}",
            verdict.name,
            verdict.type,
            self.sequence,
            self.story,
            msgspec.json.encode(data).decode(),
            self.now,
        )
        if is_public(verdict.type):
            self.owed[verdict.name] = notice

    def was_said(self, name: str) -> bool:
        return name in self.said

    # ------------------------------------------------------------------------------------------------- what is asked

    def poll(self) -> None:
        """Ask the carrier; when it is asked next is kept last."""
        if self.hit("carrier away"):
            self.away_until = self.now + 12 * HOUR * self.dice.random()
        if self.now < self.away_until or self.hit("answer lost"):
            self.commit(lambda: setattr(self, "polled_next", self.clock + 10 * MINUTE))
            return
        old, over = self.hit("old answer"), self.now >= self.script.ends_at
        self.look(self.script.answer(self.now, old=old))
        self.commit(lambda: self.checked(over and not old))

    def look(self, saying: Saying) -> None:
        self.keep(saying)
        kept = self.payloads[saying.digest]
        if not kept.is_read:
            self.read(kept)

    def checked(self, over: bool) -> None:
        """When it is asked next: never again once everything was heard."""
        found = self.conclusion
        if over:
            self.polled_next = None
        elif found:
            self.polled_next = self.after(found, self.clock)
            self._pass_idle_polls(found)
        else:
            self.polled_next = self.clock + HOUR

    def after(self, found: Conclusion, now: datetime) -> datetime | None:
        """When the carrier is asked again, by the service's own tiers."""
        parcel, at = found.parcel, self.script.starts_at
        return next_poll(found.status, parcel.purpose, registered=at, moved=parcel.moved_at, now=now)

    def _pass_idle_polls(self, found: Conclusion) -> None:
        """Polls that find nothing new and that nothing happens to are passed over: they would change nothing."""
        if self.owed or self.unread or self.order_due or self.skew:
            return
        marks = [self.script.next_change(self.now), self.review_at, self.outside[0][0] if self.outside else None]
        until = min(at for at in (*marks, *self.armed.values()) if at is not None)
        while self.polled_next is not None and self.polled_next < until:
            self.polled_next = self.after(found, self.polled_next)

    # ------------------------------------------------------------------------------------------------- what is bought

    def buy(self, name: str, kind: Kind) -> Life:
        """A purchase by its own machine; what that keeps is there after any death."""
        if not self.is_bought(name):
            self.lives[name] = life = Life(Random(self.dice.random()), Pace(), kind, self.dice.random() < 0.03)
            life.live()
            self.struck["killed during a purchase"] += life.crashes
            self.book += [name for made in life.made if not made.voided]
        return self.lives[name]

    def is_bought(self, name: str) -> bool:
        """One purchase for each name, whoever asks."""
        return name in self.lives

    def paid(self, name: str) -> int:
        """How often the carrier has charged for it, by its own book."""
        return self.book.count(name)

    def order(self) -> None:
        """Have it turned round, once: after a fresh look, and only while it still waits for that."""
        if self.now < self.away_until:
            self.commit(lambda: setattr(self, "order_due", self.clock + 5 * MINUTE))
            return
        self.look(self.script.answer(self.now))
        case = self.conclusion.case if self.conclusion else None
        if case is None or case.state is not CaseState.EXPECTED or self.deed:
            self.commit(lambda: setattr(self, "order_due", None))
            return
        if not self.script.terms.return_to_warehouse.intercept:
            self.commit(lambda: self.done(Step.LEFT_TO_CARRIER))
            return
        if self.hit("two at one order"):
            self.buy("order", Kind.UNVOIDABLE)
        life = self.buy("order", Kind.UNVOIDABLE)
        took = State.ISSUED is life.state and any(k.state is LabelState.LIVE for k in life.labels.values())
        self.commit(lambda: self.done(Step.REQUESTED if took else Step.LEFT_TO_CARRIER))

    def done(self, step: Step) -> None:
        self.deed, self.order_due = Deed(step, self.story), None
        self.conclude()

    # --------------------------------------------------------------------------------------------------- what is sent

    def deliver(self, notice: Notice) -> None:
        """Claim it, send it outside of any commit, keep how that ended."""
        self.commit(lambda: self.claim(notice))
        fence, answer = notice.fence, self.receive(notice.id, self.written(notice))
        if self.hit("killed after sending"):
            raise Died
        if self.hit("woke up late"):  # the lease was over, another one sent it meanwhile
            self.later(self.now + LEASE * 2, lambda: self.settle(notice, fence, answer))
        else:
            self.commit(lambda: self.settle(notice, fence, answer))

    def claim(self, notice: Notice) -> None:
        notice.fence, notice.next_at, notice.tries = notice.fence + 1, self.now + LEASE, notice.tries + 1

    def written(self, notice: Notice) -> bytes:
        return body(notice.type, to_us(notice.at), notice.sequence, notice.data)

    def settle(self, notice: Notice, fence: int, answer: Answer) -> None:
        if notice.fence != fence or notice.state != "due":
            return
        wait = next_wait(answer, notice.tries, self.dice.random())
        notice.state = "done" if answer.arrived else "failed" if wait is None else "due"
        if answer.arrived or wait is None:
            del self.owed[notice.name]
        else:
            notice.next_at = self.now + max(wait, SECOND)

    def receive(self, id: str, content: bytes) -> Answer:
        """The receiver: what it has taken it has taken, whatever we hear of it."""
        if self.hit("receiver down"):
            self.deaf_until = self.now + 10 * DAY * self.dice.random()
        if self.now < self.deaf_until:
            return Answer(503 if self.dice.random() < 0.5 else 0)
        self.heard.append((id, content))
        if self.hit("receiver's answer lost"):
            return Answer(0)
        return Answer(500 if self.hit("refused after taking it") else 200)

    # ------------------------------------------------------------------------------------------------------- its life

    def live(self) -> bool:
        """From setting out until nothing is due any more; False: it never came to rest."""
        self.set_out()
        until = self.script.ends_at + LAST
        while True:
            due = self.due()
            if self.outside and (due is None or self.outside[0][0] <= due):
                at, _, action = heapq.heappop(self.outside)
                self.now = max(self.now, at)
                action()
            elif due is None:
                return True
            elif due > until:
                return False
            else:
                self.now = max(self.now, due)
                self.work()


def _view(conclusion: Conclusion) -> dict[str, Any]:
    """As much of a conclusion's JSON as corrections are seen by."""
    rows = [
        {"ordinal": row.ordinal, "day": row.day.isoformat() if row.day else None, "counted": row.counted}
        for row, _ in conclusion.rows
    ]
    return {"attempts": {"count": conclusion.parcel.count, "ledger": rows}}


def wrongs(world: World) -> dict[str, list[str]]:
    """What the receiver got wrong: bytes that changed, effects had twice, notices that never came."""
    by_id, by_name = defaultdict[str, set[bytes]](set), defaultdict[str, set[str]](set)
    for id, content in world.heard:
        by_id[id].add(content)
        by_name[msgspec.json.decode(content)["data"]["name"]].add(id)
    owed = {notice.id: name for name, notice in world.said.items() if is_public(notice.type)}
    return {
        "doubled": [f"bytes changed: {id}" for id, bodies in by_id.items() if len(bodies) > 1]
        + [f"said under {len(ids)} ids: {name}" for name, ids in by_name.items() if len(ids) > 1],
        "lost": [f"never said: {name}" for name in sorted(world.judged - world.said.keys())]
        + [f"never heard: {name}" for id, name in owed.items() if id not in by_id],
    }
