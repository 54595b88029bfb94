"""Answers in one piece, and answers that are errors: judged by their bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.recorded import (
    CHAT_USAGE,
    CHAT_USED,
    DIALECTS,
    JSON,
    OTHER,
    START_USAGE,
    Json,
    call,
    joined,
    kinds,
    leg,
    pieces_of,
    read,
    split,
)

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Failure, Piece, PieceKind, Usage
from holdfast.wire import speak, whole

MESSAGE: Json = {
    "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
    "type": "message",
    "role": "assistant",
    "model": "model-a",
    "content": [{"type": "text", "text": "Grüß dich 😀"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": START_USAGE,
}
COMPLETION: Json = {
    "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "object": "chat.completion",
    "created": 1741569952,
    "model": "model-b",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Grüß dich 😀",
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": CHAT_USAGE,
}
WHOLE = {"anthropic": MESSAGE, "openai": COMPLETION}
USED = {
    "anthropic": Usage(input=25, output=1, cache_read=1000, cache_write=7),
    "openai": CHAT_USED,
}
HTML: Headers = ((b"content-type", b"text/html"),)


def dumps(value: object) -> bytes:
    return json.dumps(value).encode()


def answered(
    dialect: str,
    body: bytes,
    *,
    target: str | None = None,
    headers: Headers = JSON,
    status: int = 200,
    stream: bool = False,
    **more: str,
) -> list[Piece]:
    asked = call(dialect, stream=stream, **more)
    return pieces_of(speak.tap(asked, leg(target or dialect), status, headers), [body])


def failure(pieces: list[Piece]) -> Failure:
    assert kinds(pieces) == [PieceKind.FAULT]
    found = pieces[0].failure
    assert found is not None
    assert found.text
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=4))
def test_an_answer_passes_as_it_came(dialect: str, cuts: list[int]) -> None:
    body = dumps(WHOLE[dialect])
    tap = speak.tap(call(dialect, stream=False), leg(dialect), 200, JSON)
    pieces = pieces_of(tap, split(body, cuts))
    assert (kinds(pieces), joined(pieces)) == ([PieceKind.CONTENT, PieceKind.END], body)
    assert tap.usage == USED[dialect]
    assert tap.head is None
    assert tap.feed(b"more") == tap.close() == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_half_a_character_costs_nobody_the_answer(dialect: str) -> None:
    body = json.dumps(WHOLE[dialect]).replace("\\ude00", "").encode()
    assert joined(answered(dialect, body, target=dialect)) == body
    crossed = joined(answered(OTHER[dialect], body, target=dialect)).decode()
    assert "Grüß dich \ufffd" in crossed


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_that_is_cut_anywhere_is_a_fault(dialect: str) -> None:
    body = dumps(WHOLE[dialect])
    for cut in range(len(body)):
        for client in DIALECTS:
            found = failure(answered(client, body[:cut], target=dialect))
            assert found.kind == ("garbage" if cut else "empty")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_crosses_with_its_words_its_stop_and_its_usage(dialect: str) -> None:
    client = OTHER[dialect]
    tap = speak.tap(call(client, stream=False), leg(dialect), 200, JSON)
    answer = json.loads(joined(pieces_of(tap, [dumps(WHOLE[dialect])])))
    assert tap.head == JSON
    assert tap.usage == USED[dialect]
    if client == "anthropic":
        assert answer["content"] == [{"type": "text", "text": "Grüß dich 😀"}]
        assert answer["stop_reason"] == "end_turn"
        assert answer["usage"] == {
            "input_tokens": 15,
            "output_tokens": 10,
            "cache_read_input_tokens": 4,
        }
        assert (answer["id"], answer["model"]) == (COMPLETION["id"], "model-b")
    else:
        assert answer["choices"][0]["message"]["content"] == "Grüß dich 😀"
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert answer["usage"]["prompt_tokens"] == 1032
        assert answer["usage"]["total_tokens"] == 1033
        assert answer["created"] == 1_000_000_000


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("target", DIALECTS)
def test_a_whole_answer_is_streamed_where_a_stream_was_asked(client: str, target: str) -> None:
    """Some relays and engines do not stream; a client that waits for events reads none in JSON."""
    asked = call(client, body=b'{"stream_options":{"include_usage":true}}')
    tap = speak.tap(asked, leg(target), 200, JSON)
    pieces = pieces_of(tap, [dumps(WHOLE[target])])
    assert pieces[-1].kind is PieceKind.END
    text, stop, usage = read(client, joined(pieces))
    assert (text, stop) == ("Grüß dich 😀", "end_turn" if client == "anthropic" else "stop")
    assert (usage.get("output_tokens") or usage.get("completion_tokens")) == tap.usage.output
    assert tap.head is not None
    assert dict(tap.head)[b"content-type"].startswith(b"text/event-stream")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream"])
def test_what_the_head_says_of_the_call_crosses(kind: bytes, stream: bool) -> None:
    """Clients log the id, and slow down before a limit is met."""
    about = ((b"x-request-id", b"req_1"), (b"x-ratelimit-remaining-tokens", b"9"))
    headers = ((b"content-type", kind), (b"content-encoding", b"gzip"), *about, (b"etag", b"x"))
    tap = speak.tap(call("anthropic", stream=stream), leg("openai"), 200, headers)
    assert tap.head is not None
    assert tap.head[:-1] == about
    assert tap.head[-1][0] == b"content-type"


TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
NAMELESS = {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1"}]}
UNSPEAKABLE = [
    ("openai", COMPLETION | {"choices": [{"message": NAMELESS, "finish_reason": "tool_calls"}]}),
    ("openai", COMPLETION | {"choices": COMPLETION["choices"] * 2}),
]


@pytest.mark.parametrize(("dialect", "body"), UNSPEAKABLE)
def test_an_answer_with_more_than_can_be_said_passes_but_does_not_cross(
    dialect: str, body: Json
) -> None:
    assert kinds(answered(dialect, dumps(body))) == [PieceKind.CONTENT, PieceKind.END]
    found = failure(answered(OTHER[dialect], dumps(body), target=dialect))
    assert found.kind == "garbage"
    assert found.text.startswith("the answer")


def test_refusals_and_filters_travel_as_answers() -> None:
    """They are what the model or its provider says to these words; another target is no remedy."""
    refused = MESSAGE | {"content": [], "stop_reason": "refusal"}
    for client, stop in (("anthropic", "refusal"), ("openai", "content_filter")):
        pieces = answered(client, dumps(refused), target="anthropic")
        assert pieces[-1].kind is PieceKind.END
        assert stop in joined(pieces).decode()
    message = {"role": "assistant", "content": None, "refusal": "I can't."}
    spoken = COMPLETION | {"choices": [{"message": message, "finish_reason": "stop"}]}
    answer = json.loads(joined(answered("anthropic", dumps(spoken), target="openai")))
    assert (answer["content"][0]["text"], answer["stop_reason"]) == ("I can't.", "refusal")
    message = {"role": "assistant", "content": ""}
    filtered = COMPLETION | {"choices": [{"message": message, "finish_reason": "content_filter"}]}
    answer = json.loads(joined(answered("anthropic", dumps(filtered), target="openai")))
    assert answer["stop_reason"] == "refusal"


@pytest.mark.parametrize("stream", [False, True])
def test_calls_cross_and_are_the_stop(stream: bool) -> None:
    """Also where the engine says that it simply stopped, and where a stream was asked for."""
    called = MESSAGE | {"content": [*MESSAGE["content"], TOOL_USE], "stop_reason": "end_turn"}
    body = joined(answered("openai", dumps(called), target="anthropic", stream=stream))
    assert b'"finish_reason":"tool_calls"' in body
    assert b'"id":"toolu_1"' in body
    function = {"name": "now", "arguments": '{"zone": 1E2}'}
    message = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
    called = COMPLETION | {"choices": [{"message": message, "finish_reason": "stop"}]}
    body = joined(answered("anthropic", dumps(called), target="openai", stream=stream))
    assert b'"stop_reason":"tool_use"' in body
    assert b'"id":"call_' in body
    assert (b'{\\"zone\\": 1E2}' if stream else b'{"zone": 1E2}') in body


def test_thoughts_stay_with_an_answer_that_crosses() -> None:
    thinks = {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}
    body = dumps(MESSAGE | {"content": [thinks, *MESSAGE["content"]]})
    answer = json.loads(joined(answered("openai", body, target="anthropic")))
    assert answer["choices"][0]["message"]["content"] == "Grüß dich 😀"
    assert answer["choices"][0]["message"]["reasoning_content"] == "Hm."


NONE_AT_ALL = [
    (b"", "empty"),
    (b" \r\n\t ", "empty"),
    (b"<html><body>502 Bad Gateway</body></html>", "not_json"),
    (b"upstream connect error", "not_json"),
    (b'"words"', "not_json"),
    (b"null", "not_json"),
    (b"{", "garbage"),
    (b"{} {}", "garbage"),
    (b"[]", "garbage"),
    (b"[" * 200_000, "garbage"),
    (b"{}", "empty"),
    (b'{"choices":[],"content":null}', "empty"),
    (b'{"error":{"message":"no","type":"server_error","code":502}}', "error_event"),
    (b'{"error":"model is loading"}', "error_event"),
    (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "error_event"),
    (b'{"object":"error","message":"no such model","code":404}', "error_event"),
    (b'{"detail":"Internal Server Error"}', "error_event"),
    (b'{"message":"no Route matched with those values"}', "error_event"),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("body", "kind"), NONE_AT_ALL)
def test_a_success_that_is_none_is_a_fault(
    dialect: str, stream: bool, body: bytes, kind: str
) -> None:
    headers = JSON if body[:1] in b"{[" else HTML
    for client in DIALECTS:
        pieces = answered(client, body, target=dialect, headers=headers, stream=stream)
        found = failure(pieces)
        assert (found.kind, found.where, found.status) == (kind, "body", None)
        assert joined(pieces) == b""


def test_an_error_in_a_success_is_in_the_providers_words() -> None:
    body = dumps(COMPLETION | {"error": {"code": 502, "message": "Provider returned error"}})
    found = failure(answered("openai", body))
    assert (found.said.code, found.said.message) == ("502", "Provider returned error")
    assert found.body == body


def test_a_null_error_field_is_none() -> None:
    body = dumps(COMPLETION | {"error": None})
    assert kinds(answered("openai", body)) == [PieceKind.CONTENT, PieceKind.END]


def test_odd_usage_costs_the_usage_and_not_the_answer() -> None:
    for usage in (None, [], "many", {"input_tokens": 1.5, "prompt_tokens": "3"}, {"x": 1}, 7):
        for dialect in DIALECTS:
            tap = speak.tap(call(dialect, stream=False), leg(dialect), 200, JSON)
            pieces = pieces_of(tap, [dumps(WHOLE[dialect] | {"usage": usage})])
            assert pieces[-1].kind is PieceKind.END
            assert tap.usage == Usage()


def test_other_surfaces_are_only_asked_for_json() -> None:
    counted = answered("anthropic", b'{"input_tokens":2095}', surface="count_tokens")
    assert kinds(counted) == [PieceKind.CONTENT, PieceKind.END]
    for body in (b'{"object":"list","data":[]}', b'[{"id":"m"}]'):
        listed = answered("openai", body, surface="models")
        assert joined(listed) == body
    assert failure(answered("openai", b"<html>", surface="embeddings")).kind == "not_json"
    assert failure(answered("openai", b"", surface="models")).kind == "empty"
    lines = b'{"custom_id":"1"}\n{"custom_id":"2"}\n'
    assert joined(answered("anthropic", lines, surface="batches")) == lines
    assert kinds(answered("anthropic", b"", surface="batches")) == [
        PieceKind.CONTENT,
        PieceKind.END,
    ]


def test_an_error_that_crosses_keeps_its_headers_and_says_its_wait_in_one() -> None:
    kept = (
        (b"retry-after-ms", b"700"), (b"x-should-retry", b"true"), (b"request-id", b"r"),
        (b"anthropic-ratelimit-requests-remaining", b"0"), (b"x-ratelimit-limit-requests", b"9"),
    )  # fmt: skip
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
    error = {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}
    body = dumps({"error": error | {"details": [info]}})
    for here in ("anthropic", "openai", "openai-responses", "ollama"):
        found = failure(answered(here, body, target="gemini", status=429, headers=(*JSON, *kept)))
        _, head, _ = speak.passed_error(here, found, "rate_limit")
        assert set(kept) < set(head)
        assert dict(head)[b"retry-after"] == b"35"
    told = (*JSON, (b"retry-after", b"3"))
    found = failure(answered("openai", body, target="gemini", status=429, headers=told))
    assert speak.passed_error("openai", found, "")[1].count((b"retry-after", b"3")) == 1
    assert failure(answered("gemini", body, status=429)).body == body


COUNTED = {
    "anthropic": b'{"input_tokens":%d}',
    "gemini": b'{"totalTokens":%d, "promptTokensDetails":[]}',
    "openai-responses": b'{"object":"response.input_tokens","input_tokens":%d}',
}


@pytest.mark.parametrize("there", COUNTED)
@pytest.mark.parametrize("here", COUNTED)
@given(tokens=st.integers(-3, 10**7))
def test_a_count_is_the_very_number_and_nought_is_none(here: str, there: str, tokens: int) -> None:
    answer = COUNTED[there] % tokens
    pieces = answered(here, answer, target=there, surface="count_tokens")
    if tokens < 1:
        assert failure(pieces).kind == "absent"
    elif here == there:
        assert joined(pieces) == answer
    else:
        assert speak.DIALECTS[here].read_count(joined(pieces)) == tokens


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"input_tokens":"9"}', b'{"input_tokens":null}'])
def test_a_success_without_a_count_in_it_is_no_count(body: bytes) -> None:
    for dialect in COUNTED:
        assert failure(answered(dialect, body, surface="count_tokens")).kind == "absent"


@pytest.mark.parametrize(
    ("status", "surface", "kind"),
    [
        (404, "count_tokens", "absent"),
        (405, "count_tokens", "absent"),
        (501, "count_tokens", "absent"),
        (529, "count_tokens", "status"),
        (404, "messages", "status"),
    ],
)
def test_whoever_has_no_count_is_told_from_whoever_fails(
    status: int, surface: str, kind: str
) -> None:
    found = failure(answered("anthropic", b"Not Found", status=status, surface=surface))
    assert (found.kind, found.status, found.body) == (kind, status, b"Not Found")


def test_an_answer_beyond_all_bounds_is_a_fault_and_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whole, "WHOLE_BYTES_MAX", 100)
    tap = speak.tap(call("openai", stream=False), leg("openai"), 200, JSON)
    assert tap.feed(b" " * 100) == []
    assert failure(tap.feed(b" ")).kind == "too_large"
    assert tap.feed(b" ") == tap.close() == []


# ------------------------------------------------------------------------ errors


def test_an_error_is_kept_byte_for_byte() -> None:
    """Clients match on the wording."""
    body = b'{"type":"error", "error":{"type":"permission_error","message":"no longer a member"}}'
    found = failure(answered("anthropic", body, status=403))
    assert (found.kind, found.status, found.body, found.headers) == ("status", 403, body, JSON)
    assert (found.said.type, found.said.message) == ("permission_error", "no longer a member")
    assert found.text == "403 permission_error no longer a member"


def test_an_error_of_the_other_dialect_comes_in_the_clients_envelope() -> None:
    headers = ((b"content-type", b"application/json; charset=utf-8"), (b"retry-after", b"7"))
    body = (
        b'{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}'
    )
    found = failure(answered("anthropic", body, target="openai", status=429, headers=headers))
    assert (found.body, found.headers) == (body, headers)  # what the judge sees
    status, head, told = speak.passed_error("anthropic", found, "rate_limit")
    assert (status, head) == (429, ((b"retry-after", b"7"), *JSON))
    assert json.loads(told) == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "Rate limit reached"},
    }
    _, _, told = speak.passed_error("openai-responses", found, "rate_limit")
    assert json.loads(told)["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><title>502 Bad\n Gateway</title>\xff</html>", "502 Bad Gateway"),
        (b"<html>502</html>", "The provider answered 502."),
        (b"upstream connect error\n", "upstream connect error"),
        (b"", "The provider answered 502."),
        (b'{"a":1}', "The provider answered 502."),
    ],
)
@pytest.mark.parametrize("client", list(speak.DIALECTS))
def test_a_page_of_another_dialects_provider_becomes_an_error_of_the_clients(
    client: str, body: bytes, words: str
) -> None:
    found = failure(answered("anthropic", body, target="openai", status=502, headers=HTML))
    status, head, told = speak.passed_error(client, found, "")
    assert (status, head) == (502, JSON)
    assert speak.said(client, told).message == words


@pytest.mark.parametrize(
    ("client", "type_", "code", "words"),
    [
        ("anthropic", "invalid_request_error", "", "prompt is too long: 9 > 5"),
        ("openai", "invalid_request_error", "context_length_exceeded", "9 > 5"),
        ("openai-responses", "invalid_request_error", "context_length_exceeded", "9 > 5"),
        ("ollama", "", "", "9 > 5"),
    ],
)
def test_a_prompt_that_is_too_long_is_known_to_each_client(
    client: str, type_: str, code: str, words: str
) -> None:
    """Coding tools shorten their conversation when they are told so in words that they know."""
    body = b'{"error":{"message":"9 > 5","code":500}}'
    found = failure(answered("anthropic", body, target="openai", status=500))
    status, _, told = speak.passed_error(client, found, "context_too_long")
    said = speak.said(client, told)
    assert (status, said.type, said.code, said.message) == (400, type_, code, words)


@given(body=st.binary(), status=st.integers(300, 599))
def test_whatever_the_body_the_client_gets_json_of_its_own(body: bytes, status: int) -> None:
    found = failure(answered("anthropic", body, target="openai", status=status))
    for client in speak.DIALECTS:
        assert json.loads(speak.passed_error(client, found, "")[2])["error"]


@pytest.mark.parametrize("status", [100, 199, 300, 304, 307, 400, 500, 599])
def test_every_status_but_success_is_a_failure(status: int) -> None:
    for dialect in DIALECTS:
        found = failure(answered(dialect, dumps(WHOLE[dialect]), status=status, stream=True))
        assert (found.kind, found.status) == ("status", status)


def test_the_body_of_an_error_is_bounded() -> None:
    tap = speak.tap(call("openai"), leg("openai"), 500, HTML)
    for _ in range(3):
        assert tap.feed(b"x" * 700_000) == []
    assert len(failure(tap.close()).body) == whole.ERROR_BYTES_MAX
