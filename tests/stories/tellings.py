"""The promises of this house as stories: providers with trouble ahead, calls at times, and what
must come of it. A telling is data; `test_simulated` tells it in invented time, `test_real` on
sockets, and both hand a `Night` to its `check`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from msgspec import Struct

from holdfast.facts.incidents import Incident
from holdfast.facts.observations import Observation
from holdfast.facts.places import Dialect, Limits, Route
from holdfast.sim.client import Asking
from holdfast.sim.faults import TOO_LONG, Pace
from holdfast.sim.invented import expected_text
from holdfast.sim.timeline import SCENARIOS, STEADY, TALK, Span, Timeline
from holdfast.sim.trace import Seen, Told

AGAIN_S = 30.0  # so soon after its recovery the first choice is used again
HONEST_S = 2.0  # so soon the truth is told when everything is down
EVER = 1e9


class House(Struct, frozen=True, kw_only=True):
    """One provider of a story. `window`: the context of its models, in tokens."""

    name: str
    dialects: tuple[Dialect, ...] = ("anthropic",)
    timeline: Timeline = STEADY
    window: int | None = None
    pace: Pace = Pace(0.03, 0.0)


class Night(Struct):
    """What remained of a telling, on whichever shell.

    `told`: what each client was told, in the order of asking; `saw`: the requests that reached a
    provider, in order; `written`: the ledger's attempts by id, and how each was settled; `journal`:
    what was learnt, in order, and `incidents` what had come of it live.
    """

    told: list[Told]
    saw: list[Seen]
    written: dict[str, str]
    journal: list[Observation]
    incidents: tuple[Incident, ...]

    def asked(self, provider: str, from_s: float = 0.0, until_s: float = EVER) -> list[Seen]:
        """What reached this provider in that time."""
        return [s for s in self.saw if s.provider == provider and from_s <= s.at_s < until_s]

    def between(self, from_s: float, until_s: float = EVER) -> list[Told]:
        """What clients were told who asked in that time."""
        return [told for told in self.told if from_s <= told.asking.at_s < until_s]


class Telling(Struct, frozen=True, kw_only=True):
    """One story."""

    name: str
    promise: str
    houses: tuple[House, ...]
    asks: tuple[Asking, ...]
    check: Callable[[Night], None]
    routes: tuple[Route, ...] = ()
    limits: Limits = Limits()

    @property
    def all_routes(self) -> tuple[Route, ...]:
        """Its own routes, or any model to its houses in order."""
        return self.routes or (Route("*", tuple(f"{house.name}/*" for house in self.houses)),)


def trouble(fault: str, from_s: float = 0.0, until_s: float = EVER) -> Timeline:
    return Timeline((Span(from_s=from_s, until_s=until_s, fault=fault),))


def each(every_s: float, until_s: float, **asking: object) -> tuple[Asking, ...]:
    """The same client at even times, with other words each time."""
    count = int(until_s / every_s)
    return tuple(
        Asking(at_s=n * every_s, words=f"question {n}", **{"model": "m", **asking})  # type: ignore[arg-type]  # keywords of Asking, checked there
        for n in range(count)
    )


def once(**asking: object) -> tuple[Asking, ...]:
    return (Asking(**{"at_s": 0.1, "model": "m", **asking}),)  # type: ignore[arg-type]  # as above


# ------------------------------------------------------------------ expectations


def whole(told: Told) -> None:
    """A good answer, each character of it once."""
    assert told.good, told
    if told.asking.asked_surface in TALK:
        name = told.served_by.partition("/")[0]
        assert told.text == expected_text(told.asking.body(), name)


def all_whole(told: Iterable[Told]) -> None:
    for one in told:
        whole(one)


def served(told: Iterable[Told]) -> set[str]:
    return {one.served_by.partition("/")[0] for one in told}


def nothing_amiss(night: Night) -> None:
    """What holds of every night: the ledger is complete."""
    assert all(night.written.values()), f"not settled: {night.written}"
    assert len(night.saw) <= len(night.written)


# ------------------------------------------------------------------- the stories

CLOUD, SPARE = "cloud", "spare"
AT_HOME = House(name=SPARE)


def _quiet(night: Night) -> None:
    all_whole(night.told)
    assert {(t.served_by, t.attempts, t.stand_in) for t in night.told} == {("cloud/m", 1, False)}


def _article(night: Night) -> None:
    talk = [t for t in night.told if t.asking.asked_surface == "messages"]
    side = [t for t in night.told if t.asking.asked_surface == "embeddings"]
    all_whole(night.told)
    assert served(side) == {CLOUD}, "the surface that worked was given up"
    assert all(t.attempts == 1 for t in side)
    outage = [t for t in talk if 65 <= t.asking.at_s < 180]
    assert served(outage) == {SPARE}
    asked = [s for s in night.asked(CLOUD, 60, 180) if s.surface == "messages"]
    assert 5 <= len(asked) <= 30, f"asked {len(asked)} times in two minutes of 403"
    assert served(t for t in talk if t.asking.at_s >= 180 + AGAIN_S) == {CLOUD}


def _dead(night: Night) -> None:
    all_whole(night.told)
    asked = night.asked(CLOUD, 5, 65)
    assert 3 <= len(asked) <= 16, f"asked {len(asked)} times in a minute of being dead"
    gaps = [b.at_s - a.at_s for a, b in pairwise(asked[2:])]
    assert min(gaps) > 2, "it was not left alone"
    assert served(night.between(10, 65)) == {SPARE}
    assert served(night.between(65 + AGAIN_S)) == {CLOUD}


def _slow(night: Night) -> None:
    all_whole(night.told)
    assert min(t.took_s for t in night.told if not t.stand_in) > AGAIN_S
    assert served(night.between(10, 65)) == {SPARE}
    assert served(night.between(65 + AGAIN_S)) == {CLOUD}


def _breaks_off(night: Night) -> None:
    late = night.between(60)
    broken = sum(t.how == "broken" for t in late)
    assert broken <= len(late) / 10, f"{broken} of {len(late)} answers broke off"
    all_whole(t for t in late if t.stand_in)


def _alone(night: Night) -> None:
    whole_s = max(t.took_s for t in night.told if t.good and not t.asking.stream)
    assert whole_s > 2.0, "no answer takes longer than the patience of a last resort"
    all_whole(night.between(40 + AGAIN_S))


def _flapping(night: Night) -> None:
    all_whole(night.told)
    talk = [t.served_by for t in night.between(0, 130) if t.asking.earlier]
    moves = sum(a != b for a, b in pairwise(talk))
    assert moves <= 1, f"the conversation was moved {moves} times: {talk}"
    fresh = [t for t in night.between(30, 130) if not t.asking.earlier]
    tried = sum(not t.stand_in for t in fresh)
    assert tried <= len(fresh) / 4, f"{tried} of {len(fresh)} calls went to who flaps"
    fresh = [t for t in night.between(120 + AGAIN_S) if not t.asking.earlier]
    assert served(fresh) == {CLOUD}


def _all_down(night: Night) -> None:
    for told in night.told:
        assert told.how == "clean"
        assert told.status in (503, 529)
        assert "holdfast" in told.error
        assert int(told.headers[b"retry-after"]) >= 1
        assert told.headers[b"x-should-retry"] == b"true"
        assert told.took_s < HONEST_S, told
    assert all(t.attempts for t in night.told), "nobody may be refused unasked"
    assert len(night.saw) <= len(night.told) + 24, "more than a budget was spent on retries"
    # Who failed longest ago is asked: they take turns.
    names = [s.provider for s in night.saw if s.at_s > 10]
    assert {CLOUD, SPARE} == set(names)


def _all_silent(night: Night) -> None:
    all_whole(night.between(0, 5))
    late = night.between(20)
    assert late
    for told in late:
        assert told.status in (503, 529)
        assert told.took_s < HONEST_S * told.attempts, told
        assert b"retry-after" in told.headers


def _before(night: Night) -> None:
    all_whole(night.told)
    (told,) = night.told
    assert (told.served_by, told.stand_in, told.attempts) == ("spare/steady", True, 2)
    assert sorted(night.written.values()) == ["failed", "ok"]


def _after(night: Night) -> None:
    streamed, plain = night.told
    assert streamed.how == "broken", f"{streamed.how} end behind a cut"
    assert streamed.error
    everything = expected_text(streamed.asking.body(), CLOUD)
    assert streamed.text
    assert everything.startswith(streamed.text)
    assert streamed.text != everything
    assert streamed.attempts == 1
    whole(plain)
    assert plain.served_by == "spare/steady", "an answer that was not streamed can be had whole"


def _invalid(night: Night) -> None:
    (told,) = night.told
    assert (told.status, told.attempts) == (400, 1)
    assert told.error == "messages: invalid (sim)"
    assert told.headers[b"x-should-retry"] == b"false"
    assert night.asked(SPARE) == []


def _too_long(night: Night) -> None:
    all_whole(night.told)
    assert served(night.told) == {"large"}
    assert [s.provider for s in night.saw] == [CLOUD, "large"]


def _too_long_for_all(night: Night) -> None:
    (told,) = night.told
    assert (told.status, told.error) == (400, TOO_LONG["anthropic"].message)
    assert [s.provider for s in night.saw] == [CLOUD]


def _other_dialect(night: Night) -> None:
    all_whole(night.told)
    assert {t.served_by for t in night.told} == {"spare/steady"}
    assert all(t.stand_in for t in night.told)


def _every_dialect(night: Night) -> None:
    """Each client by each provider, streamed and not; and nobody but who was asked."""
    all_whole(night.told)
    for told in night.told:
        assert (told.served_by, told.attempts) == (told.asking.model, 1)
    assert len(night.told) == len(SPEAKERS) * len(SPOKEN) * 2


def _every_cut(night: Night) -> None:
    for told in night.told:
        assert told.how == "broken"
        assert told.error
        everything = expected_text(told.asking.body(), told.served_by.partition("/")[0])
        assert told.text
        assert everything.startswith(told.text)


def _leaves(night: Night) -> None:
    first, second = night.told
    assert first.how == "left"
    assert first.text
    assert expected_text(first.asking.body(), CLOUD).startswith(first.text)
    whole(second)
    assert sorted(night.written.values()) == ["abandoned", "ok"]


def _joins(night: Night) -> None:
    first, second = night.told
    assert (first.how, first.retry) == ("left", 0)
    whole(second)
    assert second.retry == 1
    assert len(night.saw) == 1, "the client's own retry cost a second attempt"
    assert list(night.written.values()) == ["ok"]


def _limited(night: Night) -> None:
    told = night.told
    assert [t.status for t in told] == [429, 200]
    assert told[0].headers[b"retry-after"] == b"2"
    assert told[1].at_s - told[0].ended_s > 1.9, "it asked too early"
    assert len(night.asked(CLOUD)) == 2


def _limited_with_spare(night: Night) -> None:
    all_whole(night.told)
    asked = night.asked(CLOUD, 0.9, 10)
    assert len(asked) >= 2
    assert min(b.at_s - a.at_s for a, b in pairwise(asked)) > 1.9, "its wait was not respected"
    assert served(night.between(6 + AGAIN_S)) == {CLOUD}


def _storm(night: Night) -> None:
    tries = len(night.told)
    assert tries >= 200
    # Each try of a client is one attempt; what is added is the budget of ten and its refill.
    assert len(night.saw) <= tries + 12, f"{tries} tries became {len(night.saw)} attempts"
    assert all(t.took_s < HONEST_S for t in night.between(2))
    all_whole(night.between(12 + AGAIN_S))


def _storm_with_spare(night: Night) -> None:
    all_whole(night.told)
    tries = len(night.told)
    extra = len(night.saw) - tries
    assert extra <= 60, f"{tries} calls became {len(night.saw)} attempts"
    assert len(night.asked(CLOUD, 2, 20)) <= 10


def _stays(night: Night) -> None:
    all_whole(night.told)
    talk = [t for t in night.told if t.asking.earlier and t.asking.at_s > 5]
    assert served(talk) == {SPARE}, "a conversation that moved was moved back in the middle"
    fresh = [t for t in night.between(10 + AGAIN_S) if not t.asking.earlier]
    assert served(fresh) == {CLOUD}


def _before_telling(fault: str, *, stream: bool) -> Telling:
    return Telling(
        name=f"before-{fault}-{'stream' if stream else 'whole'}",
        promise=f"{fault} before the first word: the stand-in answers, and nobody notices",
        houses=(House(name=CLOUD), AT_HOME),
        routes=(Route(fault, ("cloud/*", "spare/steady")),),
        asks=once(model=fault, stream=stream),
        check=_before,
        limits=Limits(headers_s=2.0, content_s=2.0, whole_s=2.0),
    )


def _after_telling(fault: str) -> Telling:
    return Telling(
        name=f"after-{fault}",
        promise=f"{fault} in mid-answer: never a clean end, and an error that says so",
        houses=(House(name=CLOUD), AT_HOME),
        routes=(Route(fault, ("cloud/*", "spare/steady")),),
        asks=(*once(model=fault), *once(at_s=3.0, model=fault, stream=False)),
        check=_after,
        limits=Limits(idle_s=2.0, whole_s=2.0),
    )


SPEAKERS: tuple[Dialect, ...] = ("anthropic", "openai", "openai-responses", "gemini", "ollama")
# Of these there are invented providers.
SPOKEN = SPEAKERS[:-1]
EACH_SPEAKS = tuple(House(name=f"in-{dialect}", dialects=(dialect,)) for dialect in SPOKEN)


def each_to_each(model: str, *streams: bool) -> tuple[Asking, ...]:
    pairs = [(client, house, s) for client in SPEAKERS for house in EACH_SPEAKS for s in streams]
    return tuple(
        Asking(
            at_s=3.0 * n,
            model=f"{house.name}/{model}",
            dialect=client,
            stream=stream,
            words=f"question {n} ☕",
            earlier=("Let us talk.", "Gladly."),
        )
        for n, (client, house, stream) in enumerate(pairs)
    )


BEFORE = ("overloaded", "error", "reset", "hangup", "html", "page", "empty", "silent", "mute")
AFTER = ("cut", "fin", "unfinished", "stall", "error-event", "garbage")
TELLINGS = (
    Telling(
        name="quiet",
        promise="where nothing fails, nothing is done: the first choice, one attempt",
        houses=(House(name=CLOUD), AT_HOME),
        asks=each(0.2, 4.0),
        check=_quiet,
    ),
    Telling(
        name="every-dialect",
        promise="each of five dialects is answered by providers of each other, word for word",
        houses=EACH_SPEAKS,
        asks=each_to_each("m", True, False),
        check=_every_dialect,
    ),
    Telling(
        name="every-dialect-cut",
        promise="whatever is spoken on both sides: behind a cut an error, and no clean end",
        houses=EACH_SPEAKS,
        asks=each_to_each("cut", True),
        check=_every_cut,
    ),
    Telling(
        name="article",
        promise="the outage of 2026-04-30: bursts of 529, then a 403 that names the user on two"
        " surfaces of three; nobody sees an error, the third surface goes on, and the first"
        " choice is back within half a minute",
        houses=(
            House(name=CLOUD, dialects=("anthropic", "openai"), timeline=SCENARIOS["article"]),
            House(name=SPARE, dialects=("anthropic",)),
        ),
        routes=(Route("m", ("cloud/*", "spare/*")), Route("e", ("cloud/*",))),
        asks=(
            *each(1.0, 235.0),
            *each(10.0, 235.0, surface="count_tokens"),
            *each(10.0, 235.0, model="e", dialect="openai", surface="embeddings"),
        ),
        check=_article,
    ),
    Telling(
        name="dead-first-choice",
        promise="a dead first choice rests, is tried by one call at a time, and is used again"
        " within 30 s of its recovery",
        houses=(House(name=CLOUD, timeline=trouble("error", 5, 65)), AT_HOME),
        asks=each(1.0, 110.0),
        check=_dead,
    ),
    Telling(
        name="long-answers",
        promise="nobody waits for the end of a long answer to go back to who gives it: the first"
        " choice is used again within 30 s of its recovery",
        houses=(
            House(name=CLOUD, timeline=trouble("error", 5, 65), pace=Pace(1.0, 3.0)),
            AT_HOME,
        ),
        asks=each(2.0, 110.0),
        check=_slow,
    ),
    Telling(
        name="breaks-off",
        promise="who begins every answer and ends none is not believed for its beginnings",
        houses=(
            House(name=CLOUD, timeline=trouble("stall", 5), pace=Pace(0.5, 2.0)),
            AT_HOME,
        ),
        asks=each(2.0, 200.0),
        limits=Limits(idle_s=20.0),
        check=_breaks_off,
    ),
    Telling(
        name="alone-after-silence",
        promise="who has nowhere else to go and asks again and again does not keep down who is"
        " well: that a last resort was given up soon tells nothing",
        houses=(House(name=CLOUD, timeline=trouble("silent", 10, 40), pace=Pace(0.1, 0.2)),),
        asks=(
            *each(1.0, 10.0),
            *(a for a in each(1.0, 110.0, stream=False) if a.at_s >= 10),
        ),
        limits=Limits(headers_s=5.0, content_s=5.0, whole_s=15.0),
        check=_alone,
    ),
    Telling(
        name="flapping",
        promise="who is well for ten seconds and ill for ten does not move the user to and fro",
        houses=(House(name=CLOUD, timeline=SCENARIOS["flapping"]), AT_HOME),
        asks=(*each(1.0, 160.0), *each(2.0, 160.0, earlier=("Let us talk.", "Gladly."))),
        check=_flapping,
    ),
    Telling(
        name="everything-down",
        promise="when all rest, one is asked once, and the truth comes within two seconds",
        houses=(
            House(name=CLOUD, timeline=trouble("overloaded")),
            House(name=SPARE, timeline=trouble("error")),
        ),
        asks=each(1.0, 40.0),
        check=_all_down,
    ),
    Telling(
        name="everything-silent",
        promise="silence, too, is told within two seconds once it is known",
        houses=(
            House(name=CLOUD, timeline=trouble("mute", 5)),
            House(name=SPARE, timeline=trouble("silent", 5)),
        ),
        routes=(Route("m", ("cloud/*", "spare/*")), Route("n", ("spare/m",))),
        asks=(
            *each(0.5, 4.0),
            *each(0.5, 4.0, model="n"),
            *(a for a in each(4.0, 60.0) if a.at_s > 5),
        ),
        check=_all_silent,
        limits=Limits(headers_s=5.0, content_s=5.0),
    ),
    *(_before_telling(fault, stream=True) for fault in (*BEFORE, "error-first")),
    *(_before_telling(fault, stream=False) for fault in (*BEFORE, "cut", "garbage")),
    *(_after_telling(fault) for fault in AFTER),
    Telling(
        name="invalid",
        promise="a request that is wrong goes nowhere else and comes back as it is",
        houses=(House(name=CLOUD), AT_HOME),
        asks=once(model="invalid"),
        check=_invalid,
    ),
    Telling(
        name="too-long",
        promise="a context that is too long goes to a larger window, and only there",
        houses=(
            House(name=CLOUD, window=200_000, timeline=trouble("too-long")),
            House(name="small", window=128_000),
            House(name="large", window=1_000_000),
        ),
        asks=once(),
        check=_too_long,
    ),
    Telling(
        name="too-long-for-all",
        promise="where no window is larger, the provider's own words say so",
        houses=(
            House(name=CLOUD, window=200_000, timeline=trouble("too-long")),
            House(name="small", window=128_000),
        ),
        asks=once(),
        check=_too_long_for_all,
    ),
    *(
        Telling(
            name=f"{mine}-by-{theirs}",
            promise="a stand-in that speaks another dialect answers in the client's",
            houses=(
                House(name=CLOUD, dialects=(mine,), timeline=trouble("overloaded")),
                House(name=SPARE, dialects=(theirs,)),
            ),
            routes=(Route("m", ("cloud/*", "spare/steady")),),
            asks=(*each(0.5, 2.0, dialect=mine), *each(0.5, 2.0, dialect=mine, stream=False)),
            check=_other_dialect,
        )
        for mine, theirs in (("anthropic", "openai"), ("openai", "anthropic"))
    ),
    Telling(
        name="client-leaves",
        promise="who leaves in mid-answer takes the attempt along, and harms nobody else",
        houses=(House(name=CLOUD, pace=Pace(0.1, 0.2)), AT_HOME),
        asks=(*once(patience_s=2.0), *once(at_s=3.0, words="Still there?")),
        check=_leaves,
    ),
    Telling(
        name="client-joins",
        promise="a client that lost its patience and asks again joins its own call",
        houses=(House(name=CLOUD, pace=Pace(0.1, 0.1)), AT_HOME),
        asks=once(patience_s=2.5, retries=2),
        check=_joins,
    ),
    Telling(
        name="limited",
        promise="a rate limit with its wait reaches the client that has nowhere else to go",
        houses=(House(name=CLOUD, timeline=trouble("limited", 0, 1.5)),),
        asks=once(retries=2),
        check=_limited,
    ),
    Telling(
        name="limited-with-spare",
        promise="a rate limit sends calls elsewhere, for as long as was asked",
        houses=(House(name=CLOUD, timeline=trouble("limited", 1, 6)), AT_HOME),
        asks=each(0.5, 40.0),
        check=_limited_with_spare,
    ),
    Telling(
        name="storm",
        promise="many callers that ask again in an outage do not make it worse",
        houses=(House(name=CLOUD, timeline=trouble("overloaded", 0, 12)),),
        asks=(
            *(Asking(at_s=0.0, model="m", words=f"all at once {n}") for n in range(50)),
            *each(0.1, 10.0, retries=2, stream=False),
            *each(1.0, 50.0),
        ),
        check=_storm,
    ),
    Telling(
        name="storm-with-spare",
        promise="fifty callers at once in an outage are all served, at little more than one"
        " attempt each",
        houses=(House(name=CLOUD, timeline=trouble("overloaded", 0, 20)), AT_HOME),
        asks=(
            *(Asking(at_s=1.0, model="m", words=f"all at once {n}") for n in range(50)),
            *each(0.1, 20.0),
        ),
        check=_storm_with_spare,
    ),
    Telling(
        name="conversation-stays",
        promise="a conversation that a stand-in took over stays there; new ones go back",
        houses=(House(name=CLOUD, timeline=trouble("error", 3, 10)), AT_HOME),
        asks=(
            *each(2.0, 80.0, earlier=("Let us talk.", "Gladly.")),
            *each(1.0, 80.0),
        ),
        check=_stays,
    ),
)
