"""Streams as providers and engines send them, written after their documented formats.

Each says what is in it, so that one property can be held against all of them.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple

from holdfast.facts.calls import Call, Headers
from holdfast.facts.flights import Leg
from holdfast.facts.outcomes import Piece, PieceKind, Usage
from holdfast.facts.places import Target
from holdfast.wire import speak

Json = dict[str, Any]
SSE: Headers = ((b"content-type", b"text/event-stream; charset=utf-8"),)
JSON: Headers = ((b"content-type", b"application/json"),)
SURFACES = {"anthropic": "messages", "openai": "chat"}
DIALECTS = tuple(SURFACES)
OTHER = {"anthropic": "openai", "openai": "anthropic"}


class Recorded(NamedTuple):
    """A whole stream. `whole_from`: a cut at this byte or behind it loses nothing of the answer.

    `crosses`: it is one answer. `stop` is the neutral name of why it stopped.
    """

    dialect: str
    stream: bytes
    whole_from: int
    text: str
    usage: Usage
    stop: str = "end"
    crosses: bool = True


def event(fields: Json) -> bytes:
    data = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    return b"event: %b\ndata: %b\n\n" % (fields["type"].encode(), data)


def line(fields: Json | str) -> bytes:
    if isinstance(fields, str):
        return b"data: %b\n\n" % fields.encode()
    return b"data: %b\n\n" % json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


# ------------------------------------------------------------------ Anthropic Messages

START_USAGE = {
    "input_tokens": 25,
    "cache_creation_input_tokens": 7,
    "cache_read_input_tokens": 1000,
    "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 1,
    "service_tier": "standard",
}
START = event(
    {
        "type": "message_start",
        "message": {
            "id": "msg_014p7gG3wDgGV9EUtLvnow3U",
            "type": "message",
            "role": "assistant",
            "model": "model-a",
            "stop_sequence": None,
            "usage": START_USAGE,
            "content": [],
            "stop_reason": None,
        },
    }
)
USED = Usage(input=25, output=15, cache_read=1000, cache_write=7)
PING = event({"type": "ping"})
MESSAGE_STOP = event({"type": "message_stop"})


def block(index: int, start: Json, *deltas: Json) -> list[bytes]:
    return [
        event({"type": "content_block_start", "index": index, "content_block": start}),
        *(event({"type": "content_block_delta", "index": index, "delta": d}) for d in deltas),
        event({"type": "content_block_stop", "index": index}),
    ]


def text_block(index: int, *texts: str) -> list[bytes]:
    deltas = [{"type": "text_delta", "text": text} for text in texts]
    return block(index, {"type": "text", "text": ""}, *deltas)


def message_delta(stop: str, **more: object) -> bytes:
    delta = {"stop_reason": stop, "stop_sequence": None, **more}
    return event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 15}})


def message(
    *events: bytes,
    stop: str = "end_turn",
    text: str,
    kind: str = "end",
    crosses: bool = True,
    start: bytes = START,
    usage: Usage = USED,
) -> Recorded:
    before = start + b"".join(events)
    last = message_delta(stop)
    stream = before + last + MESSAGE_STOP
    # A cut in the blank line behind the last data loses nothing.
    whole_from = len(before) + len(last) - 2
    return Recorded("anthropic", stream, whole_from, text, usage, kind, crosses)


HARD_WORDS = ("Grüß", " dich,\n\n", "data: {", '"type":"message_stop"', " 你好 😀\\", "\u2028end")
ANTHROPIC = {
    "text": message(*text_block(0, "Hello", "!"), PING, text="Hello!"),
    "hard words": message(*text_block(0, *HARD_WORDS), text="".join(HARD_WORDS)),
    "length": message(*text_block(0, "Once"), stop="max_tokens", text="Once", kind="length"),
    "stop sequence": message(
        *text_block(0, "1, 2"), stop="stop_sequence", text="1, 2", kind="stop_sequence"
    ),
    "window": message(
        *text_block(0, "So"), stop="model_context_window_exceeded", text="So", kind="length"
    ),
    "refusal": message(stop="refusal", text="", kind="refusal"),
    "refusal in mid-answer": message(
        *text_block(0, "First you"), stop="refusal", text="First you", kind="refusal"
    ),
    "tool": message(
        *text_block(0, "Okay, let me see."),
        PING,
        *block(
            1,
            {"type": "tool_use", "id": "toolu_01T1x1fJ", "name": "get_weather", "input": {}},
            *(
                {"type": "input_json_delta", "partial_json": part}
                for part in ("", '{"location":', ' "San Francisco, CA"', "}")
            ),
        ),
        stop="tool_use",
        text="Okay, let me see.",
        kind="tool_calls",
    ),
    "tool without arguments": message(
        *block(
            0,
            {"type": "tool_use", "id": "toolu_02", "name": "now", "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
        ),
        stop="tool_use",
        text="",
        kind="tool_calls",
    ),
    "thinking": message(
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Let me solve this step by step:"},
            {"type": "thinking_delta", "thinking": "\n1. 27 * 400"},
            {"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdj"},
        ),
        *text_block(1, "27 * 453", " = 12,231"),
        text="27 * 453 = 12,231",
    ),
    "redacted thinking": message(
        *block(0, {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"}),
        *text_block(1, "Yes."),
        text="Yes.",
    ),
    "citations": message(
        *block(
            0,
            {"type": "text", "text": "", "citations": []},
            {"type": "text_delta", "text": "The grass is green."},
            {
                "type": "citations_delta",
                "citation": {
                    "type": "char_location",
                    "cited_text": "The grass is green.",
                    "document_index": 0,
                    "start_char_index": 0,
                    "end_char_index": 20,
                },
            },
        ),
        text="The grass is green.",
    ),
    "web search": message(
        *text_block(0, "I'll check."),
        *block(
            1,
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"query": "weather'},
            {"type": "input_json_delta", "partial_json": ' NYC"}'},
        ),
        *block(
            2,
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": [{"type": "web_search_result", "title": "Weather", "url": "https://x"}],
            },
        ),
        *text_block(3, " 22 °C."),
        text="I'll check. 22 °C.",
    ),
    "events of tomorrow": message(
        event({"type": "weather_report", "sky": {"type": "blue"}}),
        *text_block(0, "Hi"),
        event({"type": "weather_report", "sky": None}),
        *block(1, {"type": "hologram"}, {"type": "hologram_delta", "light": "…"}),
        text="Hi",
    ),
    "comments": message(
        b": keep-alive\n\n", *text_block(0, "a"), b":\n\n", *text_block(1, "b"), text="ab"
    ),
}

# ----------------------------------------------------------- OpenAI Chat Completions

HEAD = {
    "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    "object": "chat.completion.chunk",
    "created": 1741570283,
    "model": "model-b",
    "service_tier": "default",
    "system_fingerprint": "fp_fc9f1d7035",
}
DONE = b"data: [DONE]\n\n"
CHAT_USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "accepted_prediction_tokens": 0},
}
CHAT_USED = Usage(input=15, output=10, cache_read=4)


def chunk(
    delta: Json, finish: str | None = None, *, index: int = 0, extra: Json | None = None, **more
) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return line({**HEAD, "choices": [{**choice, **(extra or {})}], **more})


def words(*texts: str) -> list[bytes]:
    return [chunk({"content": text}) for text in texts]


ROLE = chunk({"role": "assistant", "content": "", "refusal": None})
USAGE_ONLY = line({**HEAD, "choices": [], "usage": CHAT_USAGE})


def chat(
    *chunks: bytes,
    last: bytes | None = None,
    tail: bytes = USAGE_ONLY + DONE,
    text: str,
    kind: str = "end",
    crosses: bool = True,
    usage: Usage = CHAT_USED,
) -> Recorded:
    before = b"".join(chunks)
    last = chunk({}, "stop") if last is None else last
    whole_from = len(before) + len(last) - 2
    return Recorded("openai", before + last + tail, whole_from, text, usage, kind, crosses)


def tool_call(index: int, **function: str) -> Json:
    named = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
    return {"tool_calls": [{"index": index, **named, "function": function}]}


OPENAI = {
    "text": chat(ROLE, *words("Hello", "!"), text="Hello!"),
    "hard words": chat(ROLE, *words(*HARD_WORDS), text="".join(HARD_WORDS)),
    "length": chat(ROLE, *words("Once"), last=chunk({}, "length"), text="Once", kind="length"),
    "no usage asked for": chat(ROLE, *words("Hi"), tail=DONE, text="Hi", usage=Usage()),
    "done is missing": chat(ROLE, *words("Hi"), tail=b"", text="Hi", usage=Usage()),
    "usage in the last chunk": chat(
        ROLE, *words("Hi"), last=chunk({}, "stop", usage=CHAT_USAGE), tail=DONE, text="Hi"
    ),
    "usage in every chunk": chat(
        ROLE,
        chunk({"content": "Hi"}, usage={"prompt_tokens": 19, "completion_tokens": 1}),
        chunk({"content": " you"}, usage=CHAT_USAGE),
        last=chunk({}, "stop", usage=CHAT_USAGE),
        tail=DONE,
        text="Hi you",
    ),
    "finish with the last word": chat(
        ROLE, *words("He"), last=chunk({"content": "y"}, "stop"), text="Hey"
    ),
    "obfuscated": chat(
        ROLE, *(chunk({"content": text}, obfuscation="aB3d") for text in "Hi"), text="Hi"
    ),
    "tools": chat(
        ROLE,
        chunk(tool_call(0, name="get_weather", arguments="")),
        chunk(tool_call(0, arguments='{"location":')),
        chunk(tool_call(0, arguments='"Paris"}')),
        last=chunk({}, "tool_calls"),
        text="",
        kind="tool_calls",
    ),
    "refusal": chat(
        chunk({"role": "assistant", "content": None, "refusal": ""}),
        chunk({"refusal": "I'm sorry,"}),
        chunk({"refusal": " I can't."}),
        text="I'm sorry, I can't.",
        kind="refusal",
    ),
    "content filter": chat(
        ROLE, *words("Take"), last=chunk({}, "content_filter"), text="Take", kind="refusal"
    ),
    "filtered at once": chat(ROLE, last=chunk({}, "content_filter"), text="", kind="refusal"),
    "reasoning": chat(
        chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
        chunk({"content": None, "reasoning_content": "The user says hi."}),
        chunk({"content": "Hi!", "reasoning_content": None}),
        last=chunk({"content": "", "reasoning_content": None}, "stop"),
        text="Hi!",
    ),
    "reasoning details": chat(
        chunk({"role": "assistant", "content": "", "reasoning": "Hm", "reasoning_details": [{}]}),
        *words("Hi!"),
        text="Hi!",
    ),
    "azure": chat(
        line(
            {
                "choices": [],
                "created": 0,
                "id": "",
                "model": "",
                "object": "",
                "prompt_filter_results": [
                    {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}
                ],
            }
        ),
        chunk({"role": "assistant", "content": ""}, extra={"content_filter_results": {}}),
        chunk({"content": "Hello"}, extra={"content_filter_results": {"hate": {}}}),
        last=chunk({}, "stop", extra={"content_filter_results": {}}),
        text="Hello",
    ),
    "comments of a relay": chat(
        b": OPENROUTER PROCESSING\n\n",
        b": OPENROUTER PROCESSING\n\n",
        ROLE,
        *words("Hel"),
        b": OPENROUTER PROCESSING\n\n",
        *words("lo"),
        text="Hello",
    ),
    "two choices": chat(
        chunk({"role": "assistant", "content": ""}),
        chunk({"role": "assistant", "content": ""}, index=1),
        chunk({"content": "Heads"}),
        chunk({"content": "Tails"}, index=1),
        chunk({}, "stop"),
        last=chunk({}, "stop", index=1),
        text="HeadsTails",
        crosses=False,
    ),
    "local engine": chat(
        chunk({"role": "assistant", "content": None}),
        *words("Hi", " there"),
        last=chunk({}, "stop", timings={"prompt_n": 14, "predicted_ms": 3.5}),
        tail=DONE,
        text="Hi there",
        usage=Usage(),
    ),
}
ALL = [
    *((f"anthropic: {name}", recorded) for name, recorded in ANTHROPIC.items()),
    *((f"openai: {name}", recorded) for name, recorded in OPENAI.items()),
]

# --------------------------------------------------------------------------- playing


def call(dialect: str, *, stream: bool = True, body: bytes = b"{}", **more: Any) -> Call:
    """A call of this dialect; `more` are other fields of it."""
    fields: Json = {"surface": SURFACES.get(dialect, "chat"), "path": "/v1/x", "model": "m"}
    return Call(
        id="x", at=0.0, wall=1e9, dialect=dialect, body=body, stream=stream, **{**fields, **more}
    )


def leg(dialect: str, model: str = "m", *, local: bool = False) -> Leg:
    surface = SURFACES.get(dialect, "chat")
    target = Target("p", model, "none")
    return Leg(target=target, dialect=dialect, surface=surface, local=local)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes in parts; the cuts may lie anywhere."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


def play(client: str, target: str, chunks: list[bytes], headers: Headers = SSE) -> list[Piece]:
    """All pieces of a stream that comes in these parts and then ends."""
    return pieces_of(speak.tap(call(client), leg(target), 200, headers), chunks)


def pieces_of(tap: speak.Tap, chunks: list[bytes]) -> list[Piece]:
    return [piece for data in chunks for piece in tap.feed(data)] + tap.close()


def joined(pieces: list[Piece]) -> bytes:
    return b"".join(piece.data for piece in pieces)


def kinds(pieces: list[Piece]) -> list[PieceKind]:
    return [piece.kind for piece in pieces]


def read(dialect: str, stream: bytes) -> tuple[str, str | None, Json]:
    """Text, stop reason and usage as a client of the dialect reads them; every event must be JSON.

    A reader of its own, not the one that is tested.
    """
    text, stop, usage = "", None, {}
    for part in stream.split(b"\n\n"):
        data = b"".join(x[6:] for x in part.split(b"\n") if x.startswith(b"data: "))
        if not data or data == b"[DONE]":
            continue
        fields = json.loads(data)
        if dialect == "anthropic":
            usage |= (fields.get("message") or {}).get("usage") or fields.get("usage") or {}
            text += (fields.get("delta") or {}).get("text", "")
            stop = (fields.get("delta") or {}).get("stop_reason") or stop
        else:
            usage = fields.get("usage") or usage
            for choice in fields["choices"]:
                text += choice["delta"].get("content") or choice["delta"].get("refusal") or ""
                stop = choice["finish_reason"] or stop
    return text, stop, usage
