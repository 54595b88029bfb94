"""Signatures in Gemini's dialect: the provider's own, and seals around what others thought."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.gemini.parts import DIALECT, SEALED, UNSIGNED, Signing, sealed, thought, unsealed
from holdfast.wire.speech import FOREIGN, Thinking, ToolCall

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FOREIGNERS = st.builds(
    Thinking, text=WORDS, signature=WORDS, data=WORDS, origin=st.sampled_from(["anthropic", "x"])
)


@given(st.lists(FOREIGNERS, min_size=1, max_size=3), st.booleans())
def test_a_seal_gives_back_what_it_holds_in_either_alphabet(thoughts, urlsafe: bool) -> None:
    seal = sealed(thoughts)
    assert seal.startswith(SEALED)
    assert base64.b64decode(seal, validate=True).startswith(FOREIGN.encode())
    if urlsafe:  # as SDKs write bytes
        seal = seal.replace("+", "-").replace("/", "_").rstrip("=")
    assert list(unsealed(seal)) == thoughts


@given(st.binary(max_size=30))
def test_no_signature_whatever_raises(data: bytes) -> None:
    own = base64.b64encode(data).decode()
    for found in (own, SEALED + own, own[1:], SEALED + data.decode("latin-1")):
        assert all(isinstance(one, Thinking) for one in unsealed(found))


def test_the_providers_own_stays_as_it_is_and_the_mark_says_nothing() -> None:
    assert unsealed("CrQB+/==") == (Thinking(signature="CrQB+/==", origin=DIALECT),)
    assert unsealed(UNSIGNED) == unsealed("") == ()
    assert unsealed(UNSIGNED.replace("_", "/")) == ()  # as clients that decode it write it


@pytest.mark.parametrize("origin", [DIALECT, "anthropic"])
def test_the_part_behind_a_thought_is_signed_and_no_other(origin: str) -> None:
    signing = Signing()
    assert not signing.due
    signing.think(Thinking("hm", "c2ln", origin=origin))
    assert signing.due
    first = signing.signed({"text": "a"})
    assert unsealed(first["thoughtSignature"])[0].signature == "c2ln"
    assert signing.signed({"text": "b"}) == {"text": "b"}
    assert thought("hm") == {"text": "hm", "thought": True}


@pytest.mark.parametrize("before", ["call", "text", ""])
def test_the_first_call_of_a_turn_never_stands_unsigned(before: str) -> None:
    """Newer models refuse it when it comes back, wherever it was made."""
    signing = Signing()
    if before:
        signing.think(Thinking("hm", "sig", origin="anthropic"))
    if before == "text":
        assert signing.signed({"text": "so"})["thoughtSignature"].startswith(SEALED)
    first, second = (signing.call(ToolCall(id_, "f")) for id_ in "ab")
    signature = first["thoughtSignature"]
    assert signature.startswith(SEALED) if before == "call" else signature == UNSIGNED
    assert "thoughtSignature" not in second
    assert "thoughtSignature" not in Signing(marks=False).call(ToolCall("a", "f"))
