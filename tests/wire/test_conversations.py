"""Conversations that clients know by a name alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.places import Target
from holdfast.wire import conversations, speak
from holdfast.wire.conversations import Conversations
from holdfast.wire.crossings import Crossings
from holdfast.wire.speak import CannotCrossError

Json = dict[str, Any]
AT = 100.0
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "g"}


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def said(text: str, name: str = "msg_1") -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": name, "role": "assistant", "content": [part]}


def asked(given_: object, **more: object) -> bytes:
    return json.dumps({"model": "m", "input": given_, **more}).encode()


def answered(name: str, *output: Json, **more: object) -> bytes:
    return json.dumps({"id": name, "output": output, **more}).encode()


def held(**kept: Any) -> Conversations:
    """A first question and its answer, "r1"."""
    found = Conversations()
    answer = answered("r1", THOUGHT, said("a"), store=kept.pop("stored", True))
    found.keep(kept.pop("body", asked("q")), answer, "p", AT, native=kept.pop("native", True))
    return found


def told(memory: Conversations, body: bytes, provider: str = "other", at: float = AT) -> Json:
    return json.loads(memory.told(body, provider, at))


NEXT = asked("r", previous_response_id="r1", store=False)


def test_who_does_not_know_it_is_told_all_that_was_said() -> None:
    assert told(held(), NEXT) == {
        "model": "m",
        "store": False,
        "input": [user("q"), said("a"), user("r")],
    }


OWNERS = st.sampled_from(["", "a", "b"])


@given(st.lists(st.tuples(OWNERS, st.sampled_from(["r1", "r2"]), st.booleans()), max_size=9))
def test_a_name_is_good_for_whom_it_was_given_to(steps: list[tuple[str, str, bool]]) -> None:
    """The same name may be given to several; who was not given it learns nothing by it."""
    memory, known = Conversations(), set()
    for owner, name, forgets in steps:
        if forgets:
            memory.forget(name, owner=owner)
            known.discard((owner, name))
        else:
            answer = answered(name, said(f"for {owner}", f"m-{name}"))
            memory.keep(asked("q"), answer, "p", AT, native=False, owner=owner)
            known.add((owner, name))
        for who in ("", "a", "b"):
            for what in ("r1", "r2"):
                body = asked("s", previous_response_id=what)
                mine, somebodys = (who, what) in known, {w for w, n in known if n == what}
                assert (memory.whole(what, AT, owner=who) != b"") is mine
                assert memory.anothers(what, owner=who) is (bool(somebodys) and not mine)
                for keeper in (True, False):
                    refused = memory.unknown(body, AT, owner=who, keeper=keeper)
                    fine = mine or (keeper and not somebodys)
                    assert refused == (None if fine else ("previous_response_id", what))
                found = memory.told(body, "other", AT, owner=who)
                assert (f"for {who}".encode() in found) is mine
                refers = asked([{"type": "item_reference", "id": f"m-{what}"}])
                found = memory.told(refers, "other", AT, owner=who)
                assert (f"for {who}".encode() in found) is mine
                refused = memory.unknown(refers, AT, owner=who, keeper=True)
                assert (refused is None) is (mine or not somebodys)


def test_a_name_in_other_letters_is_the_same() -> None:
    memory = Conversations()
    memory.keep(asked("q"), answered("r1", said("a")), "p", AT, native=False, owner="a")
    for body in (
        b'{"previous\\u005fresponse_id":"r1","input":"x"}',
        b'{"input":"x","previous_response_id":"\\u00721"}',
    ):
        assert memory.unknown(body, AT, owner="b", keeper=True) == ("previous_response_id", "r1")


def test_what_is_dropped_for_want_of_room_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "KEPT_MAX", 2)
    memory = Conversations()
    for number in range(4):
        question = asked("q", conversation=f"c{number}")
        answer = answered(f"r{number}", said("a", f"m{number}"))
        memory.keep(question, answer, "p", AT, native=False, owner="a")
    assert [memory.anothers(f"r{number}", owner="b") for number in range(4)] == [False] * 2 + [
        True
    ] * 2
    assert not memory.anothers("c0", owner="b")
    assert not memory.anothers("m0", owner="b")
    gone = asked("s", conversation="c0")
    assert memory.unknown(gone, AT, owner="a", keeper=False) == ("conversation", "c0")


def test_its_own_provider_is_asked_by_the_name() -> None:
    assert held().told(NEXT, "p", AT) is NEXT


@pytest.mark.parametrize("how", [{"native": False}, {"stored": False}, {"stored": None}])
def test_a_provider_that_keeps_nothing_is_told_with_its_own_thoughts(how: Json) -> None:
    assert told(held(**how), NEXT, "p")["input"] == [user("q"), THOUGHT, said("a"), user("r")]


@pytest.mark.parametrize(
    "body",
    [
        asked("q", store=False),
        asked("q", previous_response_id="r0"),
        b"{",
        b'{"input":[',
    ],
)
def test_what_may_not_or_cannot_be_kept_is_not(body: bytes) -> None:
    memory = held(body=body)
    assert len(memory) == 0
    assert memory.told(NEXT, "other", AT) is NEXT


def test_a_conversation_has_a_name_of_its_own() -> None:
    for name in ("conv_1", {"id": "conv_1"}):
        memory = held(body=asked("q", conversation="conv_1"), native=False)
        memory.keep(
            asked([user("r")], conversation=name),
            answered("r2", said("b", "msg_2")),
            "p",
            AT,
            native=False,
        )
        found = told(memory, asked("s", conversation=name))
        assert found["input"] == [user("q"), said("a"), user("r"), said("b", "msg_2"), user("s")]
        assert "conversation" not in found


def test_a_conversation_may_begin_with_what_was_said_elsewhere() -> None:
    memory = Conversations()
    memory.begin("conv_1", [msgspec.Raw(json.dumps(user("q")).encode())], b"{}", AT)
    assert told(memory, asked("r", conversation="conv_1"))["input"] == [user("q"), user("r")]
    assert memory.whole("conv_1", AT) == b"{}"
    assert memory.whole("conv_1", AT + conversations.KEPT_S + 1) == b""
    memory.forget("conv_1")
    assert memory.whole("conv_1", AT) == b""
    assert "conversation" in told(memory, asked("r", conversation="conv_1"))


def test_what_its_provider_has_is_for_it_to_say() -> None:
    assert held().whole("r1", AT) == b""
    assert json.loads(held(native=False).whole("r1", AT))["id"] == "r1"


def test_items_that_are_referred_to_are_said() -> None:
    reference = {"type": "item_reference", "id": "msg_1"}
    other = {"type": "item_reference", "id": "msg_9"}
    body = asked([user("q"), reference, user("r"), other])
    assert told(held(), body)["input"] == [user("q"), said("a"), user("r"), other]
    assert held().told(body, "p", AT) is body


@given(st.lists(st.booleans(), min_size=1, max_size=6), st.integers(0, 5))
def test_each_answer_can_be_asked_on_from(native: list[bool], from_: int) -> None:
    """However the answers were given; also from one that is not the last."""
    memory, history = Conversations(), []
    parents: list[list[Json]] = [[]]
    for number, own in enumerate(native):
        before = f"r{number - 1}" if number else None
        body = asked(f"q{number}", previous_response_id=before)
        answer = said(f"a{number}", f"msg_{number}")
        memory.keep(body, answered(f"r{number}", answer, store=True), "p", AT, native=own)
        history += [user(f"q{number}"), answer]
        parents.append(list(history))
    at = min(from_, len(native) - 1)
    body = asked("on", previous_response_id=f"r{at}")
    assert told(memory, body)["input"] == [*parents[at + 1], user("on")]


def test_it_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = held()
    assert memory.told(NEXT, "other", AT + conversations.KEPT_S) is not NEXT
    assert memory.told(NEXT, "other", AT + conversations.KEPT_S + 1) is NEXT
    monkeypatch.setattr(conversations, "KEPT_MAX", 2)
    for number in range(2, 5):
        memory.keep(asked("x"), answered(f"r{number}", said("y")), "p", AT, native=False)
    assert len(memory) == 2
    assert memory.told(NEXT, "other", AT) is NEXT


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400)), max_size=30))
def test_it_is_bounded(answers: list[tuple[int, int]]) -> None:
    memory = Conversations()
    bound, conversations.KEPT_BYTES_MAX = conversations.KEPT_BYTES_MAX, 4000
    try:
        for name, size in answers:
            body = asked("x" * size, conversation="c")
            memory.keep(body, answered(f"r{name}", said("y", f"m{name}")), "p", AT, native=False)
            sizes = sum(kept.size for kept in memory._kept.values())
            assert memory._bytes == sizes <= 4000
            assert {owner for owner, _ in memory._items.values()} <= set(memory._kept)
    finally:
        conversations.KEPT_BYTES_MAX = bound


@given(st.binary(max_size=40))
def test_no_bytes_whatever_make_it_raise(dirty: bytes) -> None:
    memory = held()
    for body in (dirty, b'{"previous_response_id":' + dirty, NEXT + dirty):
        assert isinstance(memory.told(body, "other", AT), bytes)
        memory.keep(body, answered("r2"), "p", AT, native=True)
        memory.keep(NEXT, body, "p", AT, native=True)


# ------------------------------------------------------------------ the door


def call(body: bytes, at: float = AT) -> Call:
    fields: Json = {"surface": "responses", "path": "/v1/responses", "model": "m", "wall": 0.0}
    return Call(id="x", at=at, dialect="openai-responses", body=body, **fields)


LEGS = {
    "anthropic": Leg(target=Target("a", "n", "none"), dialect="anthropic", surface="messages"),
    "openai": Leg(target=Target("c", "n", "none"), dialect="openai", surface="chat"),
    "openai-responses": Leg(
        target=Target("r", "n", "none"), dialect="openai-responses", surface="responses"
    ),
}
WHOLE: dict[str, Json] = {
    "anthropic": {"content": [{"type": "text", "text": "Hi!"}], "stop_reason": "end_turn"},
    "openai": {"choices": [{"message": {"content": "Hi!"}, "finish_reason": "stop"}]},
    "openai-responses": {"id": "resp_1", "output": [said("Hi!")], "store": True},
}
WORDS = (b'"q"', b"Hi!", b'"r"')
JSON = ((b"content-type", b"application/json"),)


@pytest.mark.parametrize("first", LEGS)
@pytest.mark.parametrize("then", LEGS)
def test_a_conversation_goes_on_with_whoever_is_there(first: str, then: str) -> None:
    """The client says the name of the answer, and nothing else."""
    crossings = Crossings()
    tap = speak.tap(call(asked("q")), LEGS[first], 200, JSON, crossings)
    pieces = tap.feed(json.dumps(WHOLE[first]).encode()) + tap.close()
    name = json.loads(pieces[0].data)["id"]
    asking = call(asked("r", previous_response_id=name))
    sent = speak.compose(asking, LEGS[then], crossings).body
    if first == then == "openai-responses":
        assert json.loads(sent)["previous_response_id"] == name
        return
    assert all(word in sent for word in WORDS)
    assert b"previous_response_id" not in sent
    counting = msgspec.structs.replace(asking, surface="count_tokens")
    if then != "openai":  # where all that was said counts, too
        assert all(word in speak.compose(counting, LEGS[then], crossings).body for word in WORDS)
    late = call(asked("r", previous_response_id="resp_of_yore"))
    if then != "openai-responses":
        with pytest.raises(CannotCrossError, match="previous_response_id"):
            speak.compose(late, LEGS[then], crossings)
    else:
        assert b"resp_of_yore" in speak.compose(late, LEGS[then], crossings).body
