"""Answers in the real grammar of each provider that hold more than text, as bytes.

After the providers' published examples: thinking with its signature, tool calls in pieces of
JSON, blocks, fields and events that no gateway knows. The spacing is deliberately not what a
JSON library would write, so that a re-serialised byte shows.
"""

from __future__ import annotations


def _events(*pairs: tuple[str, str]) -> bytes:
    return "".join(f"event: {event}\ndata: {data}\n\n" for event, data in pairs).encode()


def _start(model: str) -> tuple[str, str]:
    usage = '{"input_tokens":1472,"cache_read_input_tokens":1000,"output_tokens":2,"tier":"x"}'
    data = (
        '{"type": "message_start",  "message": {"id":"msg_014p7gG3wDgGV9EUtLvnow3U","type":'
        f'"message","role":"assistant","model":"{model}","content":[],"stop_reason":null,'
        f'"stop_sequence":null,"usage":{usage},"container":null}}}}'
    )
    return "message_start", data


def _block(number: int, opening: str, *deltas: str) -> list[tuple[str, str]]:
    head = f'"index":{number}'
    said = [
        ("content_block_delta", f'{{"type":"content_block_delta",{head},"delta":{delta} }}')
        for delta in deltas
    ]
    return [
        (
            "content_block_start",
            f'{{"type":"content_block_start",{head},"content_block":{opening}}}',
        ),
        *said,
        ("content_block_stop", f'{{"type":"content_block_stop",{head}}}'),
    ]


def _end(stop: str) -> list[tuple[str, str]]:
    delta = f'{{"stop_reason":"{stop}","stop_sequence":null}}'
    return [
        (
            "message_delta",
            f'{{"type":"message_delta","delta":{delta},"usage":{{"output_tokens":89}}}}',
        ),
        ("message_stop", '{"type":"message_stop" }'),
    ]


_THINKING = _block(
    0,
    '{"type":"thinking","thinking":"","signature":""}',
    r'{"type":"thinking_delta","thinking":"Let me add 27 + 453 \u2615 ☕"}',
    '{"type":"thinking_delta","thinking":"\\n\\n  3×7"}',
    '{"type":"signature_delta","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk="}',
)
_REDACTED = _block(1, '{"type":"redacted_thinking","data":"EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xl="}')
_TEXT = _block(2, '{"type":"text","text":""}', '{"type":"text_delta","text":"27 × 453 = 12231"}')
_TOOL = _block(
    3,
    '{"type":"tool_use","id":"toolu_01T1x1fJ34qAmk2tNTrN7Up6","name":"get_weather","input":{}}',
    '{"type":"input_json_delta","partial_json":""}',
    r'{"type":"input_json_delta","partial_json":"{\"location\": \"Zür"}',
    r'{"type":"input_json_delta","partial_json":"ich\", \"unit\":"}',
    r'{"type":"input_json_delta","partial_json":" \"☕\"}"}',
)
_TOMORROW = [
    ("frobnicated", '{"type":"frobnicated","n":1e400}'),
    *_block(4, '{"type":"hologram","rays":[ ]}', '{"type":"ray_delta","ray":{"x":0.10,"y":1E2}}'),
]

ANTHROPIC = {
    "thinking": _events(
        _start("claude-haiku-5"), *_THINKING, *_REDACTED, *_TEXT, *_end("end_turn")
    ),
    "tools": _events(
        _start("claude-haiku-5"),
        ("ping", '{"type": "ping"}'),
        *[(event, data.replace('"index":3', '"index":0')) for event, data in _TOOL],
        *_end("tool_use"),
    ),
    "all": _events(
        _start("claude-haiku-5"), *_THINKING, *_REDACTED, *_TEXT, *_TOOL, *_end("tool_use")
    ),
    "refusal": _events(_start("claude-haiku-5"), *_end("refusal")),
}
# What an SDK of today cannot read either: only the bytes count.
TOMORROW = _events(_start("claude-haiku-5"), *_TOMORROW, *_TOOL, *_end("pause_turn"))


def _chunk(choices: str, more: str = "") -> str:
    return (
        'data: {"id":"chatcmpl-123", "object":"chat.completion.chunk","created":1694268190,'
        f'"model":"gpt-5.1-2026-01-01","system_fingerprint":null,"choices":[{choices}]{more}}}\n\n'
    )


def _delta(delta: str, finish: str = "null", more: str = "") -> str:
    return _chunk(
        f'{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}{more}}}',
        ',"obfuscation":"x7Zq","usage":null',
    )


def _call(number: int, arguments: str, opening: str = "") -> str:
    return _delta(
        f'{{"tool_calls":[{{"index":{number},{opening}"function":{{{arguments}}}}}]}}',
    )


_USAGE = _chunk(
    "",
    ',"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,'
    '"completion_tokens_details":{"reasoning_tokens":8}}',
)
_DONE = "data: [DONE]\n\n"

OPENAI = {
    "thinking": (
        _delta('{"role":"assistant","content":null,"reasoning_content":"Hm, "}')
        + _delta('{"reasoning_content":"3 ☕"}')
        + _delta('{"content":"Twelve \\u2615"}')
        + _delta("{}", '"stop"')
        + _USAGE
        + _DONE
    ).encode(),
    "tools": (
        _delta('{"role":"assistant","content":null,"refusal":null}')
        + _call(0, '"name":"get_weather","arguments":""', '"id":"call_1","type":"function",')
        + _call(0, r'"arguments":"{\"location\": \"Zür"')
        + _call(0, r'"arguments":"ich\"}"')
        + _call(1, '"name":"get_time","arguments":"{}"', '"id":"call_2","type":"function",')
        + _delta("{}", '"tool_calls"', ',"native_finish_reason":"tool_use"')
        + _USAGE
        + _DONE
    ).encode(),
    "refusal": (
        _delta('{"role":"assistant","content":null,"refusal":"I\'m sorry"}')
        + _delta('{"refusal":", no."}')
        + _delta("{}", '"stop"')
        + _DONE
    ).encode(),
    "filtered": (
        _delta('{"role":"assistant","content":"Well"}')
        + _delta("{}", '"content_filter"', ',"content_filter_results":{"hate":{"filtered":true}}')
        + _DONE
    ).encode(),
}

STREAMS = {"anthropic": ANTHROPIC, "openai": OPENAI}

# The same in one piece.
WHOLE = {
    "anthropic": (
        b'{"id":"msg_1", "type":"message","role":"assistant","model":"claude-haiku-5",\n'
        b'"content":[{"type":"thinking","thinking":"Hm \\u2615","signature":"Eq=="},'
        b'{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{"n":1.50,"m":1e400}}],'
        b'"stop_reason":"tool_use","stop_sequence":null,'
        b'"usage":{"input_tokens":9,"output_tokens":5}}\n'
    ),
    "openai": (
        b'{ "id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-5.1",\n'
        b'"choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":'
        b'[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\\"a\\":1.0}"}}]},'
        b'"finish_reason":"tool_calls","logprobs":null}],'
        b'"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}}\n'
    ),
}
