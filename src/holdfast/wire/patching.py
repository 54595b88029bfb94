"""A request that passes to another model of its own dialect, changed only where that refuses it.

What must change is decided on the neutral form (`suiting`). Its settings are written before and
after, and what differs is put into the body under the names that the dialect's own writer gives:
so no dialect has its rules twice. Whatever is not concerned keeps its bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from holdfast.wire import kin
from holdfast.wire.speech import UNREADABLE, Ask, Sampling, Speaking, Text, Tool, Turn

_encode = msgspec.json.encode
_decode = msgspec.json.decode
_replace = msgspec.structs.replace
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_list = msgspec.json.Decoder(list[Raw]).decode
_SAID = (Turn("user", (Text("x"),)),)
# Written for every request, and no settings.
_NO_SETTINGS = frozenset({"model", "messages", "contents", "input", "tools", "store", "stream"})
# Objects that hold settings beside others that nobody here knows.
_HOLDERS = frozenset({"generationConfig", "options", "output_config", "text"})
# Where a dialect says how much is thought; all of it goes where nothing of it can be said.
_THINKING: dict[str, tuple[tuple[str, ...], ...]] = {
    "anthropic": (("thinking",), ("output_config", "effort")),
    "openai": (("reasoning_effort",),),
    "openai-responses": (("reasoning",),),
    "gemini": (("generationConfig", "thinkingConfig"),),
    "ollama": (("think",),),
}
# An older name of a field; a request says one of the two.
OLDER = {"max_completion_tokens": "max_tokens"}
# Fields of one dialect that some models refuse and that have no word in the neutral form.
_PLAIN = frozenset({"logit_bias", "prediction", "speed", *kin.NAMES})
_THOUGHTS = (b'"thinking"', b'"redacted_thinking"')
_SEALED = b'"reasoning.encrypted_content"'


def patched(
    body: bytes, here: Speaking, asked: tuple[Ask, str], suited: tuple[Ask, str], lacks: set[str]
) -> bytes:
    """The body with the settings of `suited` where they differ from those that were `asked`.

    Each with the model that it is for, since a dialect may say the same in other words to another.
    `lacks` names what of the rest must go: `thinking`, `system_turns`, or fields by their names.
    The very bytes where nothing does. Raises CannotCrossError where that cannot be said.
    """
    before, after = (_settings(here, *pair) for pair in (asked, suited))
    try:
        fields = _fields(body)
        _put(fields, before, after)
        if asked[0].reasoning is not None and suited[0].reasoning is None:
            for path in _THINKING.get(here.DIALECT, ()):
                _take(fields, path)
        for name in lacks & _PLAIN:
            fields.pop(name, None)
        _rest(fields, here.DIALECT, lacks)
    except UNREADABLE:
        return body
    return body if fields == _fields(body) else _encode(fields)


def limited(body: bytes, refuses: frozenset[str]) -> bytes:
    """A body of Chat Completions that bounds its answer by the field that the model knows."""
    for newer, older in OLDER.items():
        for wrong, right in ((older, newer), (newer, older)):
            if wrong in refuses and f'"{wrong}"'.encode() in body:
                try:
                    fields = _fields(body)
                except UNREADABLE:
                    return body
                if wrong in fields:
                    value = fields.pop(wrong)
                    fields.setdefault(right, value)
                    return _encode(fields)
    return body


def begun(body: bytes) -> bool:
    """Whether the client has begun the answer itself: the last message is the model's."""
    try:
        messages = _decode(body, type=_Messages).messages
    except UNREADABLE:
        return False
    return bool(messages) and messages[-1].role == "assistant"


class _Message(msgspec.Struct):
    role: str = ""


class _Messages(msgspec.Struct):
    messages: list[_Message] = []


def _settings(here: Speaking, ask: Ask, model: str) -> dict[str, Any]:
    """What a dialect says of an ask besides the conversation.

    What is thought is written apart: some writers leave other settings out beside it.
    """
    tools = tuple(Tool(tool.name) for tool in ask.tools)
    alone = _replace(ask, system=(), turns=_SAID, tools=tools, user="", shared=(), reasoning=None)
    limit = Sampling(max_tokens=ask.sampling.max_tokens)
    thought = Ask(turns=_SAID, reasoning=ask.reasoning, sampling=limit)
    found: dict[str, Any] = _decode(here.write_ask(alone, model).body)
    for name, value in _decode(here.write_ask(thought, model).body).items():
        held = found.get(name)
        found[name] = {**held, **value} if isinstance(held, dict) else value
    return {name: value for name, value in found.items() if name not in _NO_SETTINGS}


def _key(fields: dict[str, Raw], name: str) -> str:
    """The name by which a field stands there; some dialects know two ways to write it."""
    if name in fields:
        return name
    plain = name.replace("_", "").lower()
    return next((key for key in fields if key.replace("_", "").lower() == plain), name)


def _put(fields: dict[str, Raw], before: dict[str, Any], after: dict[str, Any]) -> None:
    for name in (*before, *(name for name in after if name not in before)):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        if name in OLDER:
            fields.pop(OLDER[name], None)
        key = _key(fields, name)
        inner = now if now is not None or name not in _HOLDERS else {}
        if isinstance(inner, dict) and bytes(fields.get(key, b""))[:1] == b"{":
            held = _fields(fields[key])
            _put(held, was if isinstance(was, dict) else {}, inner)
            if held:
                fields[key] = Raw(_encode(held))
            else:
                del fields[key]
        elif now is None:
            fields.pop(key, None)
        else:
            fields[key] = Raw(_encode(now))


def _take(fields: dict[str, Raw], path: tuple[str, ...]) -> None:
    key = _key(fields, path[0])
    if key not in fields:
        return
    if len(path) > 1:
        held = _fields(fields[key])
        _take(held, path[1:])
        if held:
            fields[key] = Raw(_encode(held))
            return
    del fields[key]


# ------------------------------------------------------------ the conversation


def _rest(fields: dict[str, Raw], dialect: str, lacks: set[str]) -> None:
    """What of the conversation, and of what goes with it, the model would not take."""
    if dialect == "anthropic":
        if lacks & {"thinking", "system_turns"} and "messages" in fields:
            fields["messages"] = _messages(fields["messages"], lacks)
        if "thinking" not in fields or b'"disabled"' in bytes(fields["thinking"]):
            _forget_edits(fields)
    elif dialect == "openai-responses" and "thinking" in lacks:
        for name, drop in (("input", _is_thought), ("include", _is_seal)):
            if bytes(fields.get(name, b""))[:1] == b"[":
                items = _list(fields[name])
                kept = [item for item in items if not drop(item)]
                if len(kept) < len(items):
                    fields[name] = Raw(_encode(kept))


def _is_thought(item: Raw) -> bool:
    return b'"reasoning"' in bytes(item) and _type(item) == "reasoning"


def _is_seal(item: Raw) -> bool:
    return bytes(item) == _SEALED


def _type(item: Raw) -> str:
    return _decode(item, type=_Typed).type


class _Typed(msgspec.Struct):
    type: str = ""


def _messages(value: Raw, lacks: set[str]) -> Raw:
    kept, changed = [], False
    for raw in _list(value):
        message = _fields(raw)
        if "system_turns" in lacks and bytes(message.get("role", b"")) == b'"system"':
            message["role"] = Raw(b'"user"')
        elif "thinking" in lacks and any(mark in bytes(raw) for mark in _THOUGHTS):
            _clear(message)
            if bytes(message["content"]) == b"[]":
                changed = True
                continue
        else:
            kept.append(raw)
            continue
        changed = True
        kept.append(Raw(_encode(message)))
    return Raw(_encode(kept)) if changed else value


def _clear(message: dict[str, Raw]) -> None:
    """Take the thoughts out of a message."""
    content = message.get("content", Raw(b'""'))
    if bytes(content)[:1] == b"[":
        blocks = [block for block in _list(content) if not _type(block).endswith("thinking")]
        content = Raw(_encode(blocks))
    message["content"] = content


def _forget_edits(fields: dict[str, Raw]) -> None:
    """Take out what is to become of old thoughts: where nothing is thought that is an error."""
    if b'"clear_thinking' not in bytes(fields.get("context_management", b"")):
        return
    held = _fields(fields["context_management"])
    edits = _list(held.get("edits", Raw(b"[]")))
    kept = [edit for edit in edits if not _type(edit).startswith("clear_thinking")]
    if kept:
        fields["context_management"] = Raw(_encode({**held, "edits": kept}))
    else:
        del fields["context_management"]
