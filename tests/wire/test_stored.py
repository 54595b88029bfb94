"""Requests about answers and conversations that nobody keeps but the gateway."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.conversations import Conversations
from holdfast.wire.stored import Told, told, unknown

ANSWER = b'{"id":"r1","output":[]}'


def tell(
    method: str, path: str, body: bytes = b"", kept: Conversations | None = None
) -> Told | None:
    kept = Conversations() if kept is None else kept
    return told(method, path, body, kept, at=1.0, wall=9.5, name="n1")


def held(*, native: bool = False) -> Conversations:
    kept = Conversations()
    answer = ANSWER[:-1] + b',"store":true}'
    kept.keep(b'{"input":"q"}', answer if native else ANSWER, "p", 1.0, native=native)
    return kept


def test_a_conversation_is_begun_shown_and_forgotten() -> None:
    kept = Conversations()
    found = tell("POST", "/v1/conversations", b'{"metadata":{"a":"b"}}', kept)
    assert found is not None
    assert json.loads(found.body) == {
        "id": "conv_n1",
        "object": "conversation",
        "created_at": 9,
        "metadata": {"a": "b"},
    }
    assert tell("GET", "/v1/conversations/conv_n1", b"", kept) == found
    gone = tell("DELETE", "/v1/conversations/conv_n1", b"", kept)
    assert gone is not None
    assert json.loads(gone.body)["deleted"] is True
    assert tell("GET", "/v1/conversations/conv_n1", b"", kept) is None


def test_an_answer_that_only_we_keep_is_shown_and_forgotten() -> None:
    kept = held()
    assert tell("GET", "/v1/responses/r1", b"", kept) == Told(200, ANSWER)
    gone = tell("DELETE", "/v1/responses/r1", b"", kept)
    assert gone is not None
    assert json.loads(gone.body) == {"id": "r1", "object": "response", "deleted": True}
    assert len(kept) == 0


def test_what_a_provider_keeps_is_asked_there_and_forgotten_here() -> None:
    kept = held(native=True)
    assert tell("GET", "/v1/responses/r1", b"", kept) is None
    assert len(kept) == 1
    assert tell("DELETE", "/v1/responses/r1", b"", kept) is None
    assert len(kept) == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/r9"),
        ("GET", "/v1/conversations"),
        ("POST", "/v1/responses/r1/cancel"),
        ("GET", "/v1/responses/r1/input_items"),
        ("POST", "/v1/conversations/conv_1/items"),
    ],
)
def test_the_rest_is_not_ours(method: str, path: str) -> None:
    assert tell(method, path, b"", held()) is None


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/r1"),
        ("DELETE", "/v1/responses/r1"),
        ("POST", "/v1/responses/r1/cancel"),
        ("GET", "/v1/responses/r1/input_items"),
        ("GET", "/v1/responses/%72%31"),
        ("GET", "/v1/responses//r1"),
    ],
)
def test_what_was_given_to_another_is_not_there(method: str, path: str, native: bool) -> None:
    """Also where the provider has it: behind one key it could not tell who asks."""
    kept = held(native=native)
    found = told(method, path, b"", kept, at=1.0, wall=9.5, name="n1", owner="b")
    assert found is not None
    assert found.status == 404
    error = json.loads(found.body)["error"]
    assert (error["type"], error["message"]) == (
        "invalid_request_error",
        "Response with id 'r1' not found.",
    )
    assert len(kept) == 1


def test_who_goes_on_from_what_nobody_knows_is_told_what_to_do() -> None:
    body = b'{"input":"x","previous_response_id":"r1"}'
    kept = held()
    assert unknown(body, kept, at=1.0, owner="", keeper=False) is None
    for owner, memory in (("b", kept), ("", Conversations())):
        found = unknown(body, memory, at=1.0, owner=owner, keeper=False)
        assert found is not None
        assert found.status == 400
        error = json.loads(found.body)["error"]
        assert (error["param"], error["code"]) == (
            "previous_response_id",
            "previous_response_not_found",
        )
        assert error["message"].startswith("Previous response with id 'r1' not found. ")
        assert "send the whole conversation in `input`" in error["message"]
    assert unknown(body, Conversations(), at=1.0, owner="", keeper=True) is None


@given(st.binary(max_size=30))
def test_any_body_begins_a_conversation_or_is_refused_in_words(body: bytes) -> None:
    for sent in (body, b'{"items":' + body + b"}"):
        found = tell("POST", "/v1/conversations", sent)
        assert found is not None
        if found.status != 200:
            assert found.status == 400
            assert json.loads(found.body)["error"]["message"].startswith("holdfast: ")
