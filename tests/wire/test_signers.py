"""Who signed what: thoughts go back to who signed them, and to nobody else."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.recorded import block, event, message_delta, text_block

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.places import Target
from holdfast.wire import signers as module
from holdfast.wire import speak
from holdfast.wire.crossings import Crossings
from holdfast.wire.signers import Signers

HI = {"role": "user", "content": "hi"}


def signature(text: str) -> dict[str, str]:
    return {"type": "thinking", "thinking": "hm", "signature": text}


def said(*signatures: str) -> dict:
    return {
        "role": "assistant",
        "content": [*map(signature, signatures), {"type": "text", "text": "a"}],
    }


def call(*turns: dict, **more: object) -> Call:
    body = json.dumps({"model": "m", "messages": [HI, *turns], **more}).encode()
    return Call(
        id="x", at=0.0, wall=1e9, dialect="anthropic", surface="messages", path="/v1/messages",
        body=body, model="m", stream=True,
    )  # fmt: skip


def leg(provider: str, *, stand_in: bool = False, local: bool = False) -> Leg:
    target = Target(provider, "m", "none")
    return Leg(
        target=target, dialect="anthropic", surface="messages", stand_in=stand_in, local=local
    )


FIRST, SECOND = leg("a"), leg("b", stand_in=True)


def sent(asked: Call, to: Leg, crossings: Crossings | None) -> list[str]:
    """The signatures that reach a provider."""
    out = speak.compose(asked, to, crossings)
    assert bool(out.lost) == (out.body is not asked.body)
    blocks = [
        one
        for turn in json.loads(out.body)["messages"]
        if isinstance(turn["content"], list)
        for one in turn["content"]
    ]
    return [one.get("signature") or one["data"] for one in blocks if "thinking" in one["type"]]


def answered(by: Leg, crossings: Crossings, sign: str, *, stream: bool = True) -> None:
    asked = call()
    kind, body = b"application/json", json.dumps({"content": [signature(sign)]}).encode()
    if stream:
        kind = b"text/event-stream"
        said = [
            {"type": "thinking_delta", "thinking": "hm"},
            {"type": "signature_delta", "signature": sign},
        ]
        body = b"".join(
            [
                event({"type": "message_start", "message": {"usage": {}}}),
                *block(0, {"type": "thinking", "thinking": "", "signature": ""}, *said),
                *text_block(1, "a"),
                message_delta("end_turn"),
                event({"type": "message_stop"}),
            ]
        )
    asked = msgspec.structs.replace(asked, stream=stream)
    tap = speak.tap(asked, by, 200, ((b"content-type", kind),), crossings)
    given = b"".join(piece.data for part in (body[:90], body[90:]) for piece in tap.feed(part))
    assert given + b"".join(piece.data for piece in tap.close()) == body


@pytest.mark.parametrize("stream", [True, False])
def test_a_conversation_that_leaves_and_returns_has_each_providers_own(stream: bool) -> None:
    """A, then B in its place, then A again: each gets its own bytes and nobody else's."""
    crossings = Crossings()
    answered(FIRST, crossings, "of/A==", stream=stream)
    assert sent(call(said("of/A=="), HI), SECOND, crossings) == []
    answered(SECOND, crossings, "of/B==", stream=stream)
    both = call(said("of/A=="), HI, said("of/B=="), HI)
    assert sent(both, SECOND, crossings) == ["of/B=="]
    assert sent(both, FIRST, crossings) == ["of/A=="]
    assert sent(both, leg("c", stand_in=True), crossings) == []
    alone = call(said("of/A=="), HI)
    assert speak.compose(alone, FIRST, crossings).body is alone.body


def test_encrypted_thoughts_are_somebodys_too() -> None:
    hidden = {"type": "redacted_thinking", "data": "sealed"}
    asked = call({"role": "assistant", "content": [hidden, {"type": "text", "text": "a"}]}, HI)
    assert sent(asked, FIRST, Crossings()) == ["sealed"]
    assert sent(asked, SECOND, Crossings()) == []


@pytest.mark.parametrize("stand_in", [True, False])
def test_thoughts_that_nobody_signed_go_to_engines_alone(stand_in: bool) -> None:
    """Engines give an empty signature; a provider that checks them refuses the request."""
    asked = call(said(""), HI)
    for crossings in (Crossings(), None):
        out = speak.compose(asked, leg("a", stand_in=stand_in), crossings)
        assert b"signature" not in out.body
        assert [loss.field for loss in out.lost] == ["thinking"]
        engine = leg("e", stand_in=stand_in, local=True)
        assert speak.compose(asked, engine, crossings).body is asked.body


def test_thinking_is_not_demanded_where_its_thoughts_stayed_behind() -> None:
    """The provider would miss them before the call that is answered now."""
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    turn = {"role": "assistant", "content": [signature("of/A=="), use]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}
    asked = call(turn, result, thinking={"type": "enabled", "budget_tokens": 2000})
    assert b'"enabled"' not in speak.compose(asked, SECOND, Crossings()).body
    assert b'"enabled"' in speak.compose(asked, FIRST, Crossings()).body


def test_reasoning_of_responses_and_gemini_is_somebodys_too() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "of/A"}
    user = {"role": "user", "content": "hi"}
    body = json.dumps({"model": "m", "input": [user, reasoning, user]}).encode()
    own = speak.DIALECTS["openai-responses"].own
    known = Signers()
    assert json.loads(own(body, known.takes("b", stand_in=True, local=False)))["input"] == [
        user,
        user,
    ]
    known.keep(b'{"encrypted_content": "of\\/A"}', "b")
    assert own(body, known.takes("b", stand_in=True, local=False)) is body
    assert own(body, known.takes("a", stand_in=False, local=False)) is not body
    part = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "of/A"}
    contents = [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [part]}]
    body = json.dumps({"contents": contents}).encode()
    own = speak.DIALECTS["gemini"].own
    assert own(body, known.takes("b", stand_in=True, local=False)) is body
    assert b"skip_thought" in own(body, known.takes("a", stand_in=False, local=False))


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_MAX", 3)
    known = Signers()
    for n in range(9):
        known.keep(b'{"signature":"%d"}' % n, "b")
    assert len(known) == 3
    signed = known.takes("b", stand_in=True, local=False).signed
    assert signed is not None
    assert [signed(str(n)) for n in (5, 6, 8)] == [False, True, True]


@given(st.text(min_size=1), st.binary(max_size=20))
def test_a_signature_is_known_however_it_is_written(text: str, dirty: bytes) -> None:
    known = Signers()
    known.keep(dirty, "c")
    for plain in (True, False):
        known.keep(
            json.dumps({"signature": text}, ensure_ascii=plain).encode(errors="replace"), "b"
        )
    signed = known.takes("b", stand_in=True, local=False).signed
    assert signed is not None
    assert signed(text)
