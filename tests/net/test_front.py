"""The front: what becomes a call, whom it goes to, and who joins whom."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.doubles import acts
from tests.doubles.grammar import GRAMMARS
from tests.doubles.holes import blackhole, refused
from tests.doubles.provider import Provider as Double
from tests.net.flying import DataPlane, asking
from tests.net.visiting import Answer, Visitor, at_rest, eventually

from holdfast.core.runaway import MANY
from holdfast.facts.places import ModelFacts, Provider
from holdfast.wire import speak

MODEL = GRAMMARS["anthropic"].models[0]
BODY: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "hello"}],
}
STREAM = BODY | {"stream": True}
CHAT = b"/v1/chat/completions"


def provider(double: Double, **more: Any) -> Provider:
    return Provider(name=double.name, dialects=(double.dialect,), base_url=double.url, **more)  # type: ignore[arg-type]  # the dialect is one


@contextmanager
def flying(routes: dict[str, tuple[str, ...]] | None = None) -> Iterator[tuple[DataPlane, Double]]:
    """A data plane before one double, `alpha`; all models go there."""
    with Double("alpha", "anthropic") as double:
        key = double.key.encode()
        given_routes = {"*": ("alpha/*",)} if routes is None else routes
        with DataPlane(given_routes, provider(double), key=key) as plane:
            yield plane, double
            assert plane.crashes == []
            assert list(plane.front.crashes) == []
        assert double.complaints == []


def get(path: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    head = [method + b" " + path + b" HTTP/1.1", b"host: localhost", *lines]
    return b"\r\n".join(head) + b"\r\n\r\n"


def anthropic_error(answer: Answer) -> tuple[str, str]:
    """Type and message, in the shape of the dialect."""
    told = json.loads(answer.body)
    assert told["type"] == "error"
    return told["error"]["type"], told["error"]["message"]


def openai_error(answer: Answer) -> tuple[str, str]:
    told = json.loads(answer.body)
    assert "type" not in told
    assert set(told["error"]) >= {"message", "type", "code", "param"}
    return told["error"]["type"], told["error"]["message"]


# --------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    "path",
    [
        b"/v1", b"/v1/", b"/v1/message", b"/v1/messages/", b"/V1/messages", b"/v1//messages",
        b"/v1/messages%2Fcount_tokens", b"/v1/%6dessages", b"/%zz", b"/%", b"/v1/messages/../x",
        b"//", b"/v1/messages/batchesx", b"/-x", b"/v1/responsesx", b"/v1/conversationsx",
    ],
)  # fmt: skip
def test_an_unknown_path_is_told_what_there_is(path: bytes) -> None:
    """Paths are matched raw: nothing is unescaped, folded or resolved."""
    with flying() as (plane, double):
        answer = plane.ask(asking(BODY, path=path))
        assert answer.status == 404
        _, text = anthropic_error(answer)
        assert "/v1/messages" in text
        assert "base URL" in text
        assert answer.header("x-should-retry") == "false"
        assert answer.header("x-holdfast-verdict") == "request;wrong_address;0.99"
        assert double.seen == []


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/messages/batches/..", b"/v1/messages/batches/../../organizations",
        b"/v1/messages/batches/%2e%2E/x", b"/v1/messages/batches/a%2f..%2fb", b"/v1/models/..",
        b"/v1/messages/batches/%252e%252e/x", b"/v1/models/double/..%2f..%2fv1%2forganizations",
        b"/v1/messages/batches/..%5cx", b"/v1/models/double/.",
    ],
)  # fmt: skip
def test_no_path_climbs_with_our_key_to_another_part_of_the_provider(path: bytes) -> None:
    with flying() as (plane, double):
        answer = plane.ask(get(path, b"anthropic-version: 2023-06-01"))
        assert answer.status == 404
        assert "there is no GET" in anthropic_error(answer)[1]
        assert double.seen == []


def test_the_error_has_the_shape_that_the_client_reads() -> None:
    """By its headers where the path does not say."""
    with flying() as (plane, _):
        openai_error(plane.ask(get(b"/nowhere")))
        anthropic_error(plane.ask(get(b"/nowhere", b"anthropic-version: 2023-06-01")))
        anthropic_error(plane.ask(get(b"/v1/messages/nowhere")))
        openai_error(plane.ask(asking(b"not json", path=CHAT)))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        (b"GET", b"/v1/messages", "POST"),
        (b"DELETE", b"/v1/chat/completions", "POST"),
        (b"PUT", b"/v1/embeddings", "POST"),
        (b"OPTIONS", b"/v1/messages", "POST"),
        (b"DELETE", b"/v1/models", "GET"),
        (b"PATCH", b"/v1/models/x", "GET"),
        (b"GET", b"/v1beta/models/x:generateContent", "POST"),
        (b"POST", b"/v1beta/models/x", "GET"),
        (b"DELETE", b"/v1beta/models", "GET"),
        (b"DELETE", b"/", "GET, HEAD"),
        (b"GET", b"/api/show", "POST"),
        (b"POST", b"/api/version", "GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(method: bytes, path: bytes, allowed: str) -> None:
    with flying() as (plane, double):
        answer = plane.ask(get(path, method=method))
        assert answer.status == 405
        assert answer.header("allow") == allowed
        error = json.loads(answer.body)["error"]
        told = error if isinstance(error, str) else error["message"]
        assert f"{path.decode()} takes {allowed}, not {method.decode()}" in told
        assert double.seen == []


def test_a_head_of_what_is_not_there_has_no_body() -> None:
    with flying() as (plane, _), plane.visit() as visitor:
        answer = visitor.send(get(b"/nowhere", method=b"HEAD")).answer(head_only=True)
        assert answer.status == 404
        assert visitor.send(get(b"/", method=b"HEAD")).answer(head_only=True).status == 200
        assert visitor.send(get(b"/")).answer().status == 200


def test_the_query_does_not_matter_here_and_travels_on() -> None:
    with flying() as (plane, double):
        answer = plane.ask(asking(BODY, path=b"/v1/messages?beta=true&x=%zz"))
        assert answer.status == 200
        assert double.seen[0].target == "/v1/messages?beta=true&x=%zz"


def test_what_lies_under_the_hyphen_is_the_control_planes() -> None:
    with flying() as (plane, double):
        for path in (b"/-", b"/-/", b"/-/live", b"/-/v1/messages"):
            answer = plane.ask(get(path))
            assert (answer.status, answer.body) == (404, b"")
        assert double.seen == []


# -------------------------------------------------------------------- bodies

DEEP = 100_000
BAD_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "not json": b"hello",
    "a cut object": b'{"model": "m"',
    "two objects": b'{"model": "m"}{"model": "n"}',
    "an array": b"[]",
    "a string": b'"m"',
    "a number": b"1",
    "null": b"null",
    "no model": b'{"messages": []}',
    "an empty model": b'{"model": ""}',
    "null for a model": b'{"model": null}',
    "a number for a model": b'{"model": 7}',
    "a list for a model": b'{"model": ["m"]}',
    "a word for stream": b'{"model": "m", "stream": "yes"}',
    "not utf-8": b'{"model": "\xff\xfe"}',
    "half a surrogate": b'{"model": "\\ud800"}',
    "single quotes": b"{'model': 'm'}",
    "a trailing comma": b'{"model": "m",}',
    "not a number": b'{"model": "m", "temperature": NaN}',
    "a bomb of arrays": b'{"model": "m", "x": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a bomb of objects": b'{"x":' * DEEP + b"1" + b"}" * DEEP,
    "a bomb that never closes": b'{"model": "m", "x": ' + b"[" * DEEP,
    "a byte order mark": b'\xef\xbb\xbf{"model": "m"}',
}


@pytest.mark.parametrize("case", BAD_BODIES, ids=str)
@pytest.mark.parametrize("path", [b"/v1/messages", CHAT])
def test_a_body_that_cannot_be_read_is_the_clients_to_mend(case: str, path: bytes) -> None:
    """400 in its dialect with a sentence, nobody is asked, and the connection goes on."""
    with flying() as (plane, double), plane.visit() as visitor:
        answer = visitor.send(asking(BAD_BODIES[case], path=path)).answer()
        assert answer.status == 400
        kind, text = (anthropic_error if path == b"/v1/messages" else openai_error)(answer)
        assert kind == "invalid_request_error"
        assert text.startswith("holdfast: ")
        assert len(text) < 500
        assert answer.header("x-should-retry") == "false"
        assert visitor.send(asking(BODY)).answer().status == 200
        assert len(double.seen) == 1


def test_deep_schemas_are_taken_and_brackets_in_strings_do_not_count() -> None:
    """The bound is on bombs, not on what people write about."""
    nested: Any = "x"
    for _ in range(60):
        nested = [nested]
    with flying() as (plane, double):
        for more in ({"metadata": nested}, {"system": "[{" * 10_000}):
            assert plane.ask(asking(BODY | more)).status == 200
        assert [seen.json for seen in double.seen][1]["system"] == "[{" * 10_000


def test_the_listeners_refusals_hold_before_the_data_plane() -> None:
    """No path goes around the door."""
    with flying() as (plane, double):
        for bad, status in (
            (asking(BODY, b"origin: https://evil.example"), 403),
            (asking(BODY).replace(b"application/json", b"text/plain"), 415),
            (asking(BODY).replace(b"localhost", b"evil.example"), 421),
        ):
            answer = plane.ask(bad)
            assert answer.status == status
            told = json.loads(answer.body)["error"]
            assert told["message"].startswith("holdfast: ")
        assert double.seen == []


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/api/chat", "ollama"),
        ("/v1beta/models/m:generateContent", "gemini"),
        ("/v1/models/m:countTokens", "gemini"),
        ("/v1/messages/count_tokens?beta=true", "anthropic"),
        ("/v1/responses", "openai-responses"),
        ("/v1/chat/completions", "openai"),
    ],
)
def test_the_listeners_refusals_are_errors_of_the_paths_dialect(path: str, dialect: str) -> None:
    with flying() as (plane, double):
        for bad, status in (
            (asking(BODY, path=path.encode()).replace(b"application/json", b"text/plain"), 415),
            (asking(BODY, path=path.encode()).replace(b"length: ", b"length: 99999999999"), 413),
        ):
            answer = plane.ask(bad)
            assert answer.status == status
            said = speak.said(dialect, answer.body)
            assert said.message.startswith("holdfast: ")
            assert answer.body == speak.error_reply(dialect, status, said.message)[1] + b"\n"
        assert double.seen == []


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
ANY_BODY = (
    st.binary(max_size=60)
    | JSONISH.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries({"model": JSONISH, "stream": JSONISH, "messages": JSONISH}).map(
        lambda value: json.dumps(value).encode()
    )
)


def test_any_body_gets_an_answer_and_never_a_crash() -> None:
    """400, 404 or the target's own word: what a client sends is never our fault."""
    with flying({"known": ("alpha/*",)}) as (plane, _), plane.visit() as visitor:

        @settings(max_examples=150)
        @given(ANY_BODY, st.sampled_from([b"/v1/messages", CHAT, b"/v1/messages/count_tokens"]))
        @example(b'{"model":"known","stream":null}', b"/v1/messages")
        @example(b'{"model":"\\u0000","stream":true}', b"/v1/messages")
        def hold(body: bytes, path: bytes) -> None:
            answer = visitor.send(asking(body, path=path)).answer()
            assert answer.status in (400, 404), answer
            assert json.loads(answer.body)["error"]["message"]

        hold()


@pytest.mark.parametrize("count", [b"9" * 5000, b"-1", b"1.5", b"\xb2", b"", b"x"])
def test_a_strange_retry_count_is_no_count(count: bytes) -> None:
    """A client's header cannot break our own code."""
    with flying() as (plane, _):
        assert plane.ask(asking(BODY, b"x-stainless-retry-count: " + count)).status == 200


# -------------------------------------------------------------------- routing


def test_a_model_that_nobody_serves_is_404_with_what_there_is() -> None:
    """Nobody is asked, and the book has a line about it."""
    with flying({"claude-*": ("alpha/*",)}) as (plane, double):
        answer = plane.ask(asking(BODY | {"model": "gtp-5"}))
        assert answer.status == 404
        kind, text = anthropic_error(answer)
        assert kind == "not_found_error"
        for word in ("gtp-5", "claude-*", "alpha", "[[routes]]"):
            assert word in text
        (line,) = plane.book.exchanges
        assert (line.outcome, line.status, line.attempts) == ("declined", 404, 0)
        assert answer.header("x-holdfast-exchange") == line.id
        assert double.seen == []


def test_a_model_is_a_strangers_text_in_an_answer() -> None:
    """Line ends, controls and length of it break neither header nor body."""
    with flying({"claude-*": ("alpha/*",)}) as (plane, _), plane.visit() as visitor:
        for model in ("x\r\nset-cookie: a=b", "\x1b[31m", "é" * 5000, "../../etc", "<script>"):
            answer = visitor.send(asking(BODY | {"model": model})).answer()
            assert answer.status == (404 if len(model) < 1000 else 400)
            assert answer.header("set-cookie") is None
            anthropic_error(answer)


@contextmanager
def two(
    routes: dict[str, tuple[str, ...]], **more: Any
) -> Iterator[tuple[DataPlane, Double, Double]]:
    with Double("alpha", "anthropic") as alpha, Double("beta", "anthropic") as beta:
        keys = {double.name: double.key.encode() for double in (alpha, beta)}
        places = (provider(alpha), provider(beta, **more))
        with DataPlane(routes, *places, key=b"unused", keys=keys) as plane:
            yield plane, alpha, beta
            assert plane.crashes == []
            assert list(plane.front.crashes) == []
        assert alpha.complaints + beta.complaints == []


def test_the_first_route_whose_glob_matches_wins() -> None:
    routes = {MODEL: ("beta/*",), "claude-*": ("alpha/*",), "*": ("alpha/*",)}
    with two(routes) as (plane, alpha, beta):
        answer = plane.ask(asking(BODY))
        assert answer.header("x-holdfast-served-by") == f"beta/{MODEL}"
        assert answer.header("x-holdfast-attempts") == "1"
        assert answer.header("x-holdfast-stand-in") is None
        assert (len(alpha.seen), len(beta.seen)) == (0, 1)


def test_provider_and_model_address_that_one_target() -> None:
    """Under any route; the target hears its own model's name and every other byte as it came."""
    with two({"*": ("alpha/*",)}) as (plane, alpha, beta):
        body = json.dumps(BODY | {"model": f"beta/{MODEL}"}, indent=3).encode()
        assert plane.ask(asking(body)).header("x-holdfast-served-by") == f"beta/{MODEL}"
        assert beta.seen[0].body == body.replace(b"beta/", b"")
        assert alpha.seen == []


def test_a_model_without_a_route_goes_to_who_is_known_to_serve_it() -> None:
    with two({"other": ("alpha/*",)}, serves=("claude-*",)) as (plane, alpha, _):
        answer = plane.ask(asking(BODY))
        assert answer.header("x-holdfast-served-by") == f"beta/{MODEL}"
        assert alpha.seen == []


def test_a_stand_in_is_named() -> None:
    with two({"*": ("alpha/*", "beta/*")}) as (plane, alpha, _):
        alpha.always(acts.status(529))
        answer = plane.ask(asking(BODY))
        assert answer.status == 200
        assert answer.header("x-holdfast-stand-in") == "true"
        assert answer.header("x-holdfast-served-by") == f"beta/{MODEL}"


def test_where_losses_are_forbidden_the_next_is_asked_or_the_field_is_named() -> None:
    lossy = BODY | {"top_k": 5}
    with Double("gamma", "openai") as gamma, Double("alpha", "anthropic") as alpha:
        keys = {double.name: double.key.encode() for double in (gamma, alpha)}
        other = f"gamma/{gamma.models[0]}"
        routes = {MODEL: (other, "alpha/*"), "*": (other,)}
        places = (provider(gamma), provider(alpha))
        with DataPlane(routes, *places, key=b"", keys=keys, losses="forbidden") as plane:
            assert plane.ask(asking(BODY)).header("x-holdfast-served-by") == other
            answer = plane.ask(asking(lossy))
            assert answer.header("x-holdfast-served-by") == f"alpha/{MODEL}"
            assert answer.header("x-holdfast-lost") is None
            refused = plane.ask(asking(lossy | {"model": "lone"}))
        assert refused.status == 400
        kind, said = anthropic_error(refused)
        assert kind == "invalid_request_error"
        assert "the route forbids losses, and there is no word for top_k" in said
        assert len(gamma.calls) == 1
        with DataPlane(routes, *places, key=b"", keys=keys) as plane:
            assert plane.ask(asking(lossy)).header("x-holdfast-lost") == "top_k"
            (settled,) = plane.book.settled
            assert settled.lost == ("top_k: this dialect has none",)


def test_tools_of_local_engines_find_their_pages() -> None:
    """The list, a model's window and abilities, a version; errors are a sentence there."""
    facts = (ModelFacts(model="known", context_tokens=65536, vision=False),)
    with Double("alpha", "anthropic") as double:
        place = provider(double, models=facts)
        with DataPlane({"named": ("alpha/known",)}, place, key=b"k") as plane:
            listed = json.loads(plane.ask(get(b"/api/tags")).body)["models"]
            # The provider refuses its list to this key, which is no matter.
            assert [model["name"] for model in listed] == ["alpha/known", "named"]
            assert json.loads(plane.ask(get(b"/api/version")).body)["version"]
            shown = plane.ask(asking({"model": "named"}, path=b"/api/show"))
            told = json.loads(shown.body)
            assert told["model_info"]["holdfast.context_length"] == 65536
            assert told["capabilities"] == ["completion", "tools", "thinking"]
            for body, status, says in (
                ({"model": "other"}, 404, "no route or provider serves the model 'other'"),
                ({"verbose": True}, 400, "names no model"),
            ):
                answer = plane.ask(asking(body, path=b"/api/show"))
                assert answer.status == status
                assert says in json.loads(answer.body)["error"]
            assert json.loads(plane.ask(get(b"/api/ps")).body) == {"models": []}
        assert [seen.path for seen in double.seen] == ["/v1/models"]


def test_models_are_listed_in_the_clients_shape() -> None:
    """Those named in the configuration, and those that a provider lists, by their own names where
    these lead there.
    """
    with Double("alpha", "anthropic") as double:
        facts = (ModelFacts(model="claude-x"), ModelFacts(model="claude-*"))
        routes = {"fast": ("alpha/claude-x",), "claude-*": ("alpha/*",)}
        place = provider(double, models=facts)
        with DataPlane(routes, place, key=double.key.encode()) as plane:
            theirs = json.loads(plane.ask(get(b"/v1/models?limit=2")).body)
            version = b"anthropic-version: 2023-06-01"
            own = json.loads(plane.ask(get(b"/v1/models?limit=1000", version)).body)
            first = json.loads(plane.ask(get(b"/v1/models?limit=1", version)).body)
            bad = plane.ask(get(b"/v1/models?limit=all", version))
        assert theirs["object"] == "list"
        assert own["has_more"] is False
        ids = ["alpha/claude-x", *sorted(double.models), "fast"]
        for listed in (theirs, own):
            assert [entry["id"] for entry in listed["data"]] == ids
        assert (first["last_id"], first["has_more"]) == (ids[0], True)
        assert (bad.status, json.loads(bad.body)["type"]) == (400, "error")
        # Asked once, in its own dialect, with its own key.
        assert [seen.target for seen in double.seen] == ["/v1/models?limit=1000"]
        assert double.complaints == []


def test_a_list_does_not_wait_for_those_who_are_silent_or_gone() -> None:
    with Double("alpha", "anthropic") as double, refused() as none, blackhole() as silence:
        gone = Provider(name="gone", dialects=("openai",), base_url=none)
        mute = Provider(name="mute", dialects=("openai",), base_url=silence)
        key = double.key.encode()
        with DataPlane({"*": ("alpha/*",)}, gone, mute, provider(double), key=key) as plane:
            began = time.monotonic()
            listed = json.loads(plane.ask(get(b"/v1/models")).body)["data"]
            assert time.monotonic() - began < 3.0
            assert [one["id"] for one in listed] == sorted(double.models)
            # Who did not answer is not asked again by the next one.
            began = time.monotonic()
            plane.ask(get(b"/v1/models"))
            assert time.monotonic() - began < 1.0


def test_a_clients_own_key_is_for_the_lists_of_its_dialect_alone() -> None:
    with Double("alpha", "anthropic") as alpha, Double("gamma", "openai") as gamma:
        with DataPlane(
            {"claude-*": ("alpha/*",)},
            *(provider(double, key="client") for double in (alpha, gamma)),
            key=b"",
        ) as plane:
            version, key = b"anthropic-version: 1", b"x-api-key: " + alpha.key.encode()
            own = json.loads(plane.ask(get(b"/v1/models", version, key)).body)
            other = json.loads(plane.ask(get(b"/v1/models", version, b"x-api-key: k")).body)
            nobody = json.loads(plane.ask(get(b"/v1/models", version)).body)
        assert [one["id"] for one in own["data"]] == sorted(alpha.models)
        assert other["data"] == nobody["data"] == []
        assert (len(alpha.seen), gamma.seen) == (2, [])


def test_a_model_is_told_of_by_its_provider_or_by_us() -> None:
    facts = (ModelFacts(model="known", context_tokens=65536),)
    with Double("gamma", "openai") as double:
        place = provider(double, models=facts)
        with DataPlane({"named": ("gamma/known",)}, place, key=double.key.encode()) as plane:
            version = b"anthropic-version: 2023-06-01"
            told = json.loads(plane.ask(get(b"/v1/models/named", version)).body)
            assert (told["type"], told["id"], told["max_input_tokens"]) == ("model", "named", 65536)
            told = json.loads(plane.ask(get(b"/v1beta/models/named")).body)
            assert (told["name"], told["inputTokenLimit"]) == ("models/named", 65536)
            assert double.seen == []
            unknown = plane.ask(get(b"/v1/models/nothing", version))
            assert (unknown.status, json.loads(unknown.body)["error"]["type"]) == (
                404,
                "not_found_error",
            )
            model = double.models[0]
            theirs = plane.ask(get(b"/v1/models/gamma/" + model.encode()))
            assert (theirs.status, json.loads(theirs.body)["id"]) == (200, model)
            assert plane.ask(get(b"/v1/models/named")).status == 404  # its provider has none


# ------------------------------------------------- models and keys in the path

CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
GEMINI = "gemini-3-pro"


def posting(path: str, body: object = CONTENTS, *lines: bytes) -> bytes:
    data = json.dumps(body).encode()
    framing = b"content-length: %d" % len(data)
    kind = b"content-type: application/json"
    return get(path.encode(), kind, framing, *lines, method=b"POST") + data


@contextmanager
def gemini() -> Iterator[tuple[DataPlane, Double]]:
    with Double("mu", "gemini") as double:
        with DataPlane({"*": ("mu/*",)}, provider(double), key=double.key.encode()) as plane:
            yield plane, double
            assert list(plane.front.crashes) == []
        assert double.complaints == []


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("action", ["generateContent", "streamGenerateContent", "countTokens"])
def test_a_model_may_stand_in_the_path(version: str, action: str) -> None:
    with gemini() as (plane, double):
        path = f"/{version}/models/{GEMINI}:{action}?alt=sse"
        assert plane.ask(posting(path)).status == 200
        (seen,) = double.seen
        assert seen.target == path
        assert seen.json == CONTENTS


def test_models_are_listed_and_told_of_by_their_paths() -> None:
    with gemini() as (plane, double):
        for request in (
            get(b"/v1beta/models?pageSize=5"),
            get(b"/v1/models", b"x-goog-api-key: k"),
            get(b"/v1/models?key=k"),
        ):
            assert "models" in json.loads(plane.ask(request).body)
        assert [seen.target for seen in double.seen] == ["/v1beta/models?pageSize=1000"]
        for path in (b"/v1beta/models/", b"/v1/models/"):
            told = plane.ask(get(path + GEMINI.encode(), b"x-goog-api-key: k"))
            assert json.loads(told.body)["name"] == f"models/{GEMINI}"


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("key=canary", ""),
        ("alt=sse&key=canary", "?alt=sse"),
        ("k%65y=canary&alt=sse&x=%20", "?alt=sse&x=%20"),
        ("key=canary&key=canary2&a", "?a"),
        ("access_token=canary", ""),
        ("key=canary%0d%0ax:y", ""),
        ("key=", ""),
        ("monkey=1", "?monkey=1"),
    ],
)
def test_a_key_in_a_query_becomes_a_header_and_leaves_no_trace(query: str, kept: str) -> None:
    with gemini() as (plane, double):
        path = f"/v1beta/models/{GEMINI}:generateContent"
        assert plane.ask(posting(f"{path}?{query}")).status == 200
        (seen,) = double.seen
        assert seen.target == path + kept
        assert b"canary" not in seen.head
        assert "canary" not in repr([vars(plane.book), plane.front.crashes])


def test_a_clients_key_in_its_query_is_its_own_credential() -> None:
    with Double("mu", "gemini") as double:
        place = provider(double, key="client")
        with DataPlane({"*": ("mu/*",)}, place, key=b"") as plane:
            path = f"/v1beta/models/{GEMINI}:generateContent?key={double.key}"
            assert plane.ask(posting(path)).status == 200
            (seen,) = double.seen
            assert seen.header("x-goog-api-key") == double.key
            assert "?" not in seen.target
        assert double.complaints == []


def test_what_is_wrong_with_it_is_said_in_its_dialect() -> None:
    with gemini() as (plane, double):
        for path, body, status in (
            ("/v1beta/models/m:generateContent", {"messages": []}, 400),
            ("/v1beta/models/:generateContent", CONTENTS, 400),
            ("/v1beta/models/m:predict", CONTENTS, 404),
            ("/v1beta/models/m", CONTENTS, 405),
            ("/v1beta/nowhere", CONTENTS, 404),
        ):
            answer = plane.ask(posting(path, body))
            error = json.loads(answer.body)["error"]
            assert answer.status == status
            assert set(error) == {"code", "message", "status"}
        assert double.seen == []


# -------------------------------------------------------------------- joining

FIRST, RETRY = b"x-stainless-retry-count: 0", b"x-stainless-retry-count: 1"


class Returning:
    """A client that asked once, as the SDKs do, and whose call is in the air, not yet answered."""

    def __init__(self, plane: DataPlane, double: Double, body: dict[str, Any] = STREAM) -> None:
        self.plane, self.body = plane, body
        self._all = ExitStack()
        self.first = self._all.enter_context(plane.visit()).send(asking(body, FIRST))
        eventually(lambda: double.calls)

    def again(self, *lines: bytes, **other: Any) -> Visitor:
        """The same once more, with what is other."""
        again = self._all.enter_context(self.plane.visit())
        return again.send(asking(other.pop("body", self.body), *lines, **other))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()


SLOWLY = acts.slow(first_s=0.3, gap_s=0.005)


@pytest.mark.parametrize("body", [STREAM, BODY], ids=["streamed", "whole"])
@pytest.mark.parametrize("leaves", [True, False], ids=["left", "stayed"])
def test_a_clients_own_retry_joins_its_call(body: dict[str, Any], leaves: bool) -> None:
    """One upstream call, paid once; whoever is there gets the whole answer."""
    with flying() as (plane, double):
        double.always(SLOWLY)
        with Returning(plane, double, body) as client:
            if leaves:
                client.first.sock.close()
                time.sleep(0.1)
            answers = [client.again(RETRY).answer()]
            if not leaves:
                answers.append(client.first.answer())
                assert answers[0].body == answers[1].body
        for answer in answers:
            assert (answer.status, answer.whole) == (200, True)
            assert b"alpha-020" in answer.body
            assert answer.header("x-holdfast-attempts") == "1"
        assert len(double.calls) == 1
        eventually(lambda: plane.book.exchanges)
        assert [line.outcome for line in plane.book.exchanges] == ["ok"]


@pytest.mark.parametrize("body", [STREAM, BODY], ids=["streamed", "whole"])
def test_an_answer_that_came_while_its_client_was_away_is_there_for_it(
    body: dict[str, Any],
) -> None:
    """Within the grace; paid once, and by the same bytes."""
    with flying() as (plane, double):
        double.always(acts.slow(first_s=0.1))
        with Returning(plane, double, body) as client:
            client.first.sock.close()
            eventually(lambda: plane.book.exchanges)
            with Returning(plane, double, body | {"max_tokens": 51}) as other:
                usual = other.first.answer()
            answer = client.again(RETRY).answer()
            stranger = client.again(RETRY, key=b"another-key").answer()
        assert (answer.status, answer.body, answer.whole) == (200, usual.body, True)
        assert answer.header("content-type") == usual.header("content-type")
        assert answer.header("x-holdfast-served-by") == f"alpha/{MODEL}"
        assert answer.header("x-holdfast-exchange") != stranger.header("x-holdfast-exchange")
        assert len(double.calls) == 3
        eventually(lambda: not plane.desk.kept)


def test_what_is_too_long_or_went_wrong_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client asks anew."""
    monkeypatch.setattr("holdfast.net.audience.TRANSCRIPT_BYTES_MAX", 100)
    with flying() as (plane, double):
        double.always(acts.slow(first_s=0.1))
        with Returning(plane, double, BODY) as client:
            client.first.sock.close()
            eventually(lambda: plane.book.exchanges)
            assert plane.desk.kept == set()
            assert client.again(RETRY).answer().status == 200
        assert len(double.calls) == 2


def test_who_reads_along_is_not_kept_in_memory_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of streams are open at once, and their clients hardly ever come back."""
    monkeypatch.setattr("holdfast.net.audience.READ_ALONG_BYTES_MAX", 300)
    with flying() as (plane, double):
        double.always(acts.slow(gap_s=0.03))
        with Returning(plane, double) as client:
            eventually(lambda: double.calls[0].words > 6)
            assert plane.do(lambda: [p.audience.joinable for p in plane.desk.flying]) == [False]
            client.again(RETRY).answer()
            assert client.first.answer().whole
        assert len(double.calls) == 2


def test_who_joins_in_mid_stream_gets_it_from_the_first_byte() -> None:
    with flying() as (plane, double):
        double.always(acts.slow(gap_s=0.03))
        with Returning(plane, double) as client:
            eventually(lambda: double.calls[0].words > 4)
            retry = client.again(RETRY)
            assert client.first.answer().body == retry.answer().body
        assert len(double.calls) == 1


@pytest.mark.parametrize(
    ("lines", "other"),
    [
        ((RETRY,), {"key": b"another-key-canary"}),
        ((RETRY,), {"key": None}),
        ((RETRY,), {"body": STREAM | {"max_tokens": 51}}),
        ((RETRY,), {"path": b"/v1/messages?beta=true"}),
        ((RETRY, b"anthropic-beta: more"), {}),
        ((FIRST,), {}),
        ((), {}),
    ],
    ids=["other key", "no key", "other body", "other query", "beta", "no retry", "no count"],
)
def test_nobody_else_joins(lines: tuple[bytes, ...], other: dict[str, Any]) -> None:
    """Another credential, another body, or no retry at all: a call of its own."""
    with flying() as (plane, double):
        double.always(SLOWLY)
        with Returning(plane, double) as client:
            stranger = client.again(*lines, **other)
            assert client.first.answer().status == 200
            answer = stranger.answer()
        assert (answer.status, answer.whole) == (200, True)
        assert len(double.calls) == 2
        eventually(lambda: len({line.id for line in plane.book.exchanges}) == 2)


def test_a_call_whose_client_keeps_no_count_cannot_be_joined() -> None:
    """Nothing of it is kept, so nobody could have it from its first byte."""
    with flying() as (plane, double):
        double.always(SLOWLY)
        with plane.visit() as first:
            first.send(asking(STREAM))
            eventually(lambda: double.calls)
            with plane.visit() as second:
                assert second.send(asking(STREAM, RETRY)).answer().status == 200
            assert first.answer().status == 200
        assert len(double.calls) == 2


def test_a_retry_that_comes_too_late_is_a_call_of_its_own() -> None:
    """Behind the grace the first is over, and its upstream was let go."""
    with flying() as (plane, double):
        double.play(acts.slow(headers_s=5.0))
        with Returning(plane, double, BODY) as client:
            client.first.sock.close()
            eventually(lambda: double.calls[0].closed_at, within_s=0.95)
            assert client.again(RETRY).answer().status == 200
        assert len(double.calls) == 2


def test_many_at_once_keep_to_their_own() -> None:
    """Thirty clients, each its own credential and its own words: no answer goes astray."""
    with flying() as (plane, double):
        double.always(acts.slow(first_s=0.05))
        troubles: list[BaseException] = []

        def client(n: int) -> None:
            try:
                body = STREAM | {"metadata": {"user_id": f"u{n}"}}
                answer = plane.ask(asking(body, RETRY if n % 2 else FIRST, key=b"key-%d" % n))
                assert answer.whole
                assert b"alpha-020" in answer.body
            except BaseException as trouble:  # noqa: BLE001 - told by the test
                troubles.append(trouble)

        threads = [threading.Thread(target=client, args=(n,)) for n in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert troubles == []
        assert len(double.calls) == 30


# ------------------------------------------------------------ who asks on and on

GPT = GRAMMARS["openai"].models[0]


def chunks(*said: object) -> bytes:
    """A stream of chat chunks: the deltas, and no finish reason."""
    lines = [
        {"id": "c", "object": "chat.completion.chunk", "model": GPT, "choices": [choice]}
        for choice in ({"index": 0, "delta": delta, "finish_reason": None} for delta in said)
    ]
    return b"".join(b"data: " + json.dumps(line).encode() + b"\n\n" for line in lines)


UNREASONED = chunks({"role": "assistant", "content": ""}, {"content": "So far"})


class Stubborn:
    """opencode before a stream without a finish reason: it takes that for a step and goes on."""

    def __init__(self, plane: DataPlane, *, keeps: bool) -> None:
        """`keeps`: what was answered goes into its next request, so that the first grows."""
        self._plane = plane
        self._keeps = keeps
        self.said = [{"role": "user", "content": "go"}]

    def ask(self, **more: Any) -> Answer:
        answer = self._plane.ask(self.request(**more))
        if self._keeps:
            self.said.append({"role": "assistant", "content": "So far"})
        return answer

    def request(self, **more: Any) -> bytes:
        body = {"model": GPT, "stream": True, "messages": self.said, **more}
        return posting(CHAT.decode(), body, b"user-agent: opencode/1.18")


@contextmanager
def chatting() -> Iterator[tuple[DataPlane, Double]]:
    with Double("gamma", "openai") as double:
        with DataPlane({"*": ("gamma/*",)}, provider(double), key=double.key.encode()) as plane:
            yield plane, double
            assert plane.crashes == []
            assert list(plane.front.crashes) == []
        assert double.complaints == []


def test_a_stream_that_nobody_asked_for_reaches_its_client_in_one_piece() -> None:
    """Some relays always stream."""
    with chatting() as (plane, double):
        double.play(acts.recorded(UNREASONED.replace(b"null", b'"stop"') + b"data: [DONE]\n\n"))
        answer = Stubborn(plane, keeps=False).ask(stream=False)
        assert (answer.status, answer.header("x-holdfast-attempts")) == (200, "1")
        assert answer.header("content-type") == "application/json"
        assert "So far" in json.loads(answer.body)["choices"][0]["message"]["content"]


def answering(**message: object) -> acts.Act:
    """A whole answer of Chat with this message."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    body = {"id": "c", "object": "chat.completion", "model": GPT, "choices": [choice]}
    return acts.recorded(json.dumps(body).encode(), "application/json")


def of_messages(plane: DataPlane) -> Answer:
    turns = [{"role": "user", "content": "go"}]
    return plane.ask(posting("/v1/messages", {"model": GPT, "max_tokens": 9, "messages": turns}))


def test_what_an_answer_loses_on_its_way_is_told_and_kept() -> None:
    with chatting() as (plane, double):
        cited = [{"type": "url_citation", "url_citation": {"url": "https://example.com"}}]
        double.play(answering(content="So far", annotations=cited))
        answer = of_messages(plane)
        assert (answer.status, answer.header("x-holdfast-lost")) == (200, "answer.citations")
        eventually(lambda: plane.book.settled[-1].lost[0].startswith("answer.citations: "))


def test_an_answer_that_nobody_can_be_shown_is_asked_for_once_and_named() -> None:
    with chatting() as (plane, double):
        double.play(answering(content=None, audio={"id": "a", "data": "aGk="}))
        answer = of_messages(plane)
        assert answer.status == 400
        assert answer.header("x-holdfast-verdict").startswith("request;unshown;")
        assert b"sound" in answer.body
        assert len(double.calls) == 1


@pytest.mark.parametrize("keeps", [True, False], ids=["growing", "the same"])
@pytest.mark.parametrize(
    "act",
    [acts.recorded(UNREASONED + b"data: [DONE]\n\n"), acts.recorded(UNREASONED)],
    ids=["done", "neither"],
)
def test_a_tool_that_asks_on_and_on_is_slowed_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, act: acts.Act, keeps: bool
) -> None:
    """From its first turn on, and until it gets an answer whose end says why."""
    monkeypatch.setattr("holdfast.core.runaway.FIRST_PAUSE_S", 0.6)
    monkeypatch.setattr("holdfast.core.runaway.PAUSE_MAX_S", 0.6)
    with chatting() as (plane, double):
        double.always(act)
        tool = Stubborn(plane, keeps=keeps)
        for _ in range(MANY):
            answer = tool.ask()
            assert answer.status == 200
            assert b"So far" in answer.body
            assert answer.header("x-holdfast-slowed") is None
            assert answer.whole is (b"[DONE]" in answer.body)
        begun = time.monotonic()
        assert tool.ask().header("x-holdfast-slowed") == "1"
        assert time.monotonic() - begun >= 0.6
        eventually(lambda: plane.book.exchanges[-1].because.startswith("held back for 1 s, as"))
        (alarm,) = plane.do(lambda: plane.desk.runaways.alarms(plane.desk.clock()))
        assert alarm.startswith("opencode asks on and on")
        # Nobody else is slowed, and it is not when it does not stream.
        other = Stubborn(plane, keeps=False)
        other.said = [{"role": "user", "content": "another matter"}]
        assert other.ask().header("x-holdfast-slowed") is None
        double.play(acts.ok())
        assert tool.ask(stream=False).header("x-holdfast-slowed") is None
        double.play(acts.ok())
        assert tool.ask().header("x-holdfast-slowed") == "1"
        assert tool.ask().header("x-holdfast-slowed") is None
        assert plane.do(lambda: plane.desk.runaways.alarms(plane.desk.clock())) == ()


def test_a_slowed_client_that_leaves_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.core.runaway.FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr("holdfast.core.runaway.PAUSE_MAX_S", 0.1)
    with chatting() as (plane, double):
        double.always(acts.recorded(UNREASONED))
        tool = Stubborn(plane, keeps=True)
        for _ in range(MANY):
            tool.ask()
        with plane.visit() as visitor:
            visitor.send(tool.request())
        assert at_rest(lambda: len(double.calls), 0.2) == MANY
        assert len(plane.book.intents) == MANY


def test_a_slowed_client_hears_it_when_the_house_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.core.runaway.FIRST_PAUSE_S", 600.0)
    monkeypatch.setattr("holdfast.core.runaway.PAUSE_MAX_S", 600.0)
    with chatting() as (plane, double):
        plane.drain_s = 0.05
        double.always(acts.recorded(UNREASONED))
        tool = Stubborn(plane, keeps=True)
        for _ in range(MANY):
            tool.ask()
        visitor = plane.visit().send(tool.request())
        eventually(lambda: plane.desk.held)
    with visitor:
        answer = visitor.answer()
    assert (answer.status, answer.whole) == (503, True)
    assert "stopped" in json.loads(answer.body)["error"]["message"]
    assert answer.header("x-should-retry") == "true"
    assert plane.book.exchanges[-1].outcome == "declined"
    assert len(double.calls) == len(plane.book.intents) == MANY
    assert plane.desk.held == plane.desk.flying == set()


def test_whole_answers_slow_nobody() -> None:
    with chatting() as (plane, double):
        tool = Stubborn(plane, keeps=False)
        assert {tool.ask().header("x-holdfast-slowed") for _ in range(2 * MANY)} == {None}
        assert len(double.calls) == 2 * MANY
        assert len(plane.desk.runaways) == 0


# ------------------------------------------- conversations that are known by a name


def responding(body: dict[str, Any], key: bytes) -> bytes:
    return posting("/v1/responses", {"model": GPT, **body}, b"authorization: Bearer " + key)


def test_a_body_of_responses_on_chats_path_says_what_it_lost() -> None:
    with chatting() as (plane, _):
        body = {"model": GPT, "input": "hello", "truncation": "auto"}
        answer = plane.ask(posting(CHAT.decode(), body))
        assert (answer.status, answer.header("x-holdfast-lost")) == (200, "truncation")
        eventually(lambda: plane.book.settled)
        assert plane.book.settled[0].lost[0].startswith("truncation: ")


def test_an_answers_name_is_good_for_its_own_key_and_not_over_a_restart() -> None:
    """Behind a target that keeps nothing the gateway does; who cannot go on hears what to do."""
    go_on = {"input": "again", "previous_response_id": ""}

    def refused(answer: Answer, status: int = 400) -> dict[str, Any]:
        assert answer.status == status
        error: dict[str, Any] = json.loads(answer.body)["error"]
        assert error["type"] == "invalid_request_error"
        return error

    with Double("gamma", "openai") as double:
        key, place = double.key.encode(), provider(double)
        with DataPlane({"*": ("gamma/*",)}, place, key=key) as plane:
            first = json.loads(plane.ask(responding({"input": "hello"}, b"key-a")).body)
            go_on["previous_response_id"] = name = first["id"]
            error = refused(plane.ask(responding(go_on, b"key-b")))
            assert error["code"] == "previous_response_not_found"
            whole = (b"/v1/responses/" + name.encode(), b"authorization: Bearer ")
            refused(plane.ask(get(whole[0], whole[1] + b"key-b")), 404)
            shown = plane.ask(get(whole[0], whole[1] + b"key-a"))
            assert json.loads(shown.body) == first
            assert len(double.calls) == 1
            assert plane.ask(responding(go_on, b"key-a")).status == 200
            said = [turn["content"] for turn in double.calls[1].json["messages"]]
            assert said == ["hello", acts.text(double.name), "again"]
            assert [line.outcome for line in plane.book.exchanges] == ["ok", "declined", "ok"]
        with DataPlane({"*": ("gamma/*",)}, place, key=key) as plane:  # nothing is remembered
            answer = plane.ask(responding(go_on, b"key-a"))
            error = refused(answer)
            assert error["param"] == "previous_response_id"
            assert "not over a restart: send the whole conversation in `input`" in error["message"]
            assert answer.header("x-should-retry") == "false"
        assert len(double.calls) == 2
