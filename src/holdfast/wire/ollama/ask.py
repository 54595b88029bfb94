"""Requests of Ollama's `/api/chat` in the neutral form and back, after its documented API.

Calls have no ids in the documented form: a result names its tool, or stands in the order of the
calls. Ids that a newer client gives all the same are kept; the others are made of their place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from holdfast.facts.losses import Lost
from holdfast.wire.fields import Fields
from holdfast.wire.fitting import remembered, rounded
from holdfast.wire.forms import Schema, rewritten
from holdfast.wire.needs import is_marked
from holdfast.wire.speech import (
    ALONE,
    UNREADABLE,
    Ask,
    BadFieldError,
    CannotCrossError,
    Document,
    Form,
    Image,
    Part,
    Reasoning,
    Refusal,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Written,
)

DIALECT = "ollama"
ID_CHARS_MAX = 64
# Nobody says how long a tool's name may be; models are asked for it letter by letter.
NAME_CHARS_MAX = 128
TEMPERATURE_MAX = 2.0
EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")
# The media type of a picture by the first characters of its base64: here they come without one.
_PICTURES = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
_UNKNOWN_PICTURE = "image/png"
_DATA_URL = "data:"
_OTHERS = (
    "this path takes requests of Ollama's /api/chat;"
    " OpenAI's go to /v1/chat/completions, Anthropic's to /v1/messages"
)
_encode = msgspec.json.encode
_int = msgspec.json.Decoder(int).decode


# -------------------------------------------------------------------- reading


def read_ask(body: bytes) -> Ask:
    """The request in the neutral form. Raises BadFieldError, CannotCrossError."""
    fields = Fields(body)
    fields.raw("model")
    lost: list[Lost] = []
    system, turns = _turns(fields, lost)
    if not turns and system:
        turns, system = [Turn("user", tuple(system))], []
        lost.append(Lost("system", ALONE))
    if not turns or turns[-1].role == "assistant":
        raise CannotCrossError("messages: the conversation does not end with the user's words")
    return asked(fields, lost, tuple(system), tuple(turns), tuple(_tools(fields, lost)))


def asked(
    fields: Fields,
    lost: list[Lost],
    system: tuple[Text, ...],
    turns: tuple[Turn, ...],
    tools: tuple[Tool, ...] = (),
) -> Ask:
    """What was said, with the settings that are left in these fields. Raises BadFieldError."""
    stream = fields.flag("stream")
    options = fields.object("options") or Fields(b"{}", "options")
    ask = Ask(
        system=system,
        turns=turns,
        tools=tools,
        sampling=Sampling(
            max_tokens=_limit(options),
            temperature=_temperature(options, lost),
            top_p=options.number("top_p"),
            top_k=options.count("top_k") or None,  # nothing bounds nothing
            seed=_whole(options, "seed"),
            frequency_penalty=options.number("frequency_penalty"),
            presence_penalty=options.number("presence_penalty"),
            stop=_stops(options),
            logprobs=fields.flag("logprobs") or False,
            top_logprobs=fields.count("top_logprobs"),
            stream=True if stream is None else stream,
        ),
        reasoning=_reasoning(fields),
        form=_form(fields),
    )
    lost += (*options.losses(), *fields.losses())
    return msgspec.structs.replace(ask, lost=tuple(lost)) if lost else ask


def _whole(fields: Fields, name: str) -> int | None:
    """A whole number of either sign."""
    value = fields.raw(name)
    try:
        return _int(value) if value else None
    except UNREADABLE:
        raise fields.refuse(name, "is not a whole number") from None


def _limit(options: Fields) -> int | None:
    """`num_predict`; one below 1 means: as much as there is room for."""
    limit = _whole(options, "num_predict")
    return None if limit is None or limit < 1 else limit


def _temperature(options: Fields, lost: list[Lost]) -> float | None:
    asked = options.number("temperature")
    if asked is None or asked <= TEMPERATURE_MAX:
        return asked
    why = f"{asked:g} was cut to {TEMPERATURE_MAX:g}, the highest elsewhere"
    lost.append(Lost(options.name("temperature"), why))
    return TEMPERATURE_MAX


def _stops(options: Fields) -> tuple[str, ...]:
    value = options.raw("stop")
    try:
        found = msgspec.json.decode(value or b"[]", type=str | list[str])
    except UNREADABLE:
        raise options.refuse("stop", "is neither a text nor a list of texts") from None
    return (found,) if isinstance(found, str) else tuple(found)


def _reasoning(fields: Fields) -> Reasoning | None:
    think = fields.raw("think")
    if think in (b"", b'""'):
        return None
    if think == b"true":
        return Reasoning("on")
    if think == b"false":
        return Reasoning("off")
    try:
        effort = msgspec.json.decode(think, type=str)
    except UNREADABLE:
        effort = ""
    if effort not in EFFORTS:
        raise fields.refuse("think", "is none of true, false, low, medium, high")
    return Reasoning("on", effort=effort)


def _form(fields: Fields) -> Form | None:
    form = fields.raw("format")
    if form in (b"", b'""'):
        return None
    if form == b'"json"':
        return Form("json_object")
    if form.startswith(b"{"):
        return Form("json_schema", form, strict=True)
    raise fields.refuse("format", 'is neither "json" nor a JSON schema')


def _tools(fields: Fields, lost: list[Lost]) -> Iterable[Tool]:
    for tool in fields.objects("tools"):
        kind = tool.text("type") or "function"
        function = tool.object("function")
        if kind != "function":
            raise tool.refuse("type", f"is {kind!r}; function is known")
        if function is None:
            raise tool.refuse("function", f"is missing; {_OTHERS}")
        name = function.text("name")
        if not name:
            raise function.refuse("name", "is missing")
        schema = function.raw("parameters") or Tool(name).schema
        if not schema.startswith(b"{"):
            raise function.refuse("parameters", "is not a JSON object")
        yield Tool(name, function.text("description") or "", schema, function.flag("strict"))
        lost += (*function.losses(), *tool.losses())


def _turns(fields: Fields, lost: list[Lost]) -> tuple[list[Text], list[Turn]]:
    system: list[Text] = []
    turns: list[Turn] = []
    calls = _Calls()
    messages = fields.objects("messages")
    if not messages:
        raise fields.refuse("messages", f"is missing or empty; {_OTHERS}")
    for message in messages:
        role = message.text("role")
        content = _content(message)
        if role == "system":
            texts = (Text(content),) if content else ()
            if turns:
                turns.append(Turn("system", texts))
            else:
                system += texts
        elif role == "assistant":
            turns.append(Turn("assistant", tuple(_assistant(message, content, calls, lost))))
        elif role in ("user", "tool"):
            parts: tuple[Part, ...] = tuple(said(message, content))
            if role == "tool":
                parts = (calls.result(message, parts),)
            if turns and _is_results(turns[-1]):
                turns[-1] = Turn("user", (*turns[-1].parts, *parts))
            else:
                turns.append(Turn("user", parts))
        else:
            known = "system, user, assistant and tool are known"
            raise message.refuse("role", f"is {role!r}; {known}")
        lost += message.losses()
    return system, turns


def _is_results(turn: Turn) -> bool:
    """Whether nothing stands behind the results of this turn yet."""
    return bool(turn.parts) and isinstance(turn.parts[-1], ToolResult)


def _content(message: Fields) -> str:
    value = message.raw("content")
    if value.startswith((b"[", b"{")):
        raise message.refuse("content", f"is not a text; {_OTHERS}")
    try:
        return msgspec.json.decode(value or b'""', type=str)
    except UNREADABLE:
        raise message.refuse("content", "is not a text") from None


def said(message: Fields, content: str) -> Iterable[Text | Image]:
    """A message's words and what it shows."""
    pictures = message.texts("images")
    if content or not pictures:
        yield Text(content)
    for number, picture in enumerate(pictures):
        yield _picture(picture, f"{message.name('images')}[{number}]")


def _picture(data: str, where: str) -> Image:
    if data.startswith(_DATA_URL):
        media, base64, rest = data.removeprefix(_DATA_URL).partition(";base64,")
        if not base64:
            raise BadFieldError(f"{where} is a data URL that is not in base64")
        return Image(media, rest)
    if data.startswith(("http://", "https://")):
        raise BadFieldError(f"{where} is an address; give the picture itself, in base64")
    known = (media for start, media in _PICTURES.items() if data.startswith(start))
    return Image(next(known, _UNKNOWN_PICTURE), data)


def _assistant(message: Fields, content: str, calls: _Calls, lost: list[Lost]) -> Iterable[Part]:
    thought = message.text("thinking")
    if thought:
        yield Thinking(text=thought, origin=DIALECT)
    if content:
        yield Text(content)
    for call in message.objects("tool_calls"):
        function = call.object("function")
        name = function.text("name") if function is not None else None
        if function is None or not name:
            raise call.refuse("function.name", "is missing")
        given = function.raw("arguments") or b"{}"
        try:
            Fields(given)
        except BadFieldError:
            raise function.refuse("arguments", "is not a JSON object") from None
        call.text("type")
        function.raw("index")
        yield calls.begun(call.text("id") or "", name, given.decode())
        lost += (*function.losses(), *call.losses())


class _Calls:
    """The calls whose results have not come yet: which of them a result is for."""

    __slots__ = ("_count", "_waiting")

    def __init__(self) -> None:
        self._count = 0
        self._waiting: deque[ToolCall] = deque()

    def begun(self, id_: str, name: str, arguments: str) -> ToolCall:
        """A call, with an id made of its place in the conversation where it came without."""
        self._count += 1
        call = ToolCall(id_ or f"call_{self._count}", name, arguments)
        self._waiting.append(call)
        return call

    def result(self, message: Fields, parts: tuple[Part, ...]) -> ToolResult:
        """The result that a message gives: by its id, else by the tool's name, else in order."""
        id_ = message.text("tool_call_id") or ""
        older = message.text("name")
        name = message.text("tool_name") or older or ""
        waiting = self._waiting
        if id_:
            found = next((call for call in waiting if call.id == id_), None)
        else:
            found = next((call for call in waiting if call.name == name), None)
            if found is None and not name and waiting:
                found = waiting[0]
        if found is None:
            raise message.refuse(
                "tool_call_id" if id_ else "tool_name",
                f"is {(id_ or name)[:80]!r}, and no call before it waits for that",
            )
        waiting.remove(found)
        kept = (part for part in parts if isinstance(part, Text | Image) and part != Text(""))
        return ToolResult(found.id, tuple(kept))


# -------------------------------------------------------------------- writing


def write_ask(ask: Ask, model: str) -> Written:
    """The request for a target that speaks `/api/chat`. Raises CannotCrossError."""
    lost: list[Lost] = []
    messages: list[dict[str, Any]] = []
    system = "\n\n".join(part.text for part in ask.system if part.text)
    if system:
        messages.append({"role": "system", "content": system})
    names: dict[str, str] = {}
    for turn in ask.turns:
        messages += _messages(turn, names, lost)
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": ask.sampling.stream}
    _write_tools(ask, body, lost)
    _write_sampling(ask.sampling, body, lost)
    if ask.form is not None:
        schema = ask.form.kind == "json_schema"
        body["format"] = Raw(ask.form.schema) if schema else "json"
    _write_thinking(ask.reasoning, body, lost)
    if ask.user:
        lost.append(Lost("user", "this dialect does not say who asks"))
    if is_marked(ask):
        lost.append(Lost("cache_control", "targets of this dialect cache by themselves"))
    if any(getattr(part, "detail", "") for turn in ask.turns for part in turn.parts):
        lost.append(Lost("detail", "this dialect does not say how closely a picture is seen"))
    return Written(_encode(body), tuple(dict.fromkeys(lost)))


def _write_tools(ask: Ask, body: dict[str, Any], lost: list[Lost]) -> None:
    choice = ask.tool_choice
    if not ask.tools or (choice is not None and choice.mode == "none"):
        return
    body["tools"] = [_written_tool(tool) for tool in ask.tools]
    if any(tool.strict for tool in ask.tools):
        lost.append(Lost("strict", "nobody holds the model to a tool's schema here"))
    if choice is None:
        return
    if choice.mode in ("any", "named"):
        why = "a model of this dialect cannot be made to call a tool"
        lost.append(Lost("tool_choice", why, tolerable=False))
    if choice.parallel is False:
        lost.append(Lost("parallel_tool_calls", "several calls at once cannot be forbidden here"))


def _written_tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = Raw(_schema(tool.schema))
    return {"type": "function", "function": function}


@remembered
def _schema(schema: bytes) -> bytes:
    """A tool's schema as Ollama's server reads it."""
    return rewritten(rounded(schema), _in_objects)


def _in_objects(schema: Schema) -> Schema:
    """A schema none of whose fields is just true or false: Ollama's server reads objects alone."""
    found = dict(schema)
    if isinstance(fields := schema.get("properties"), dict):
        found["properties"] = {name: _as_object(one) for name, one in fields.items()}
    if isinstance(options := schema.get("anyOf"), list):
        found["anyOf"] = [_as_object(one) for one in options]
    return found


def _as_object(schema: object) -> object:
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    return schema


def _write_sampling(sampling: Sampling, body: dict[str, Any], lost: list[Lost]) -> None:
    if sampling.choices != 1:
        lost.append(Lost("n", "this dialect gives one answer", tolerable=False))
    said = {
        "num_ctx": sampling.window_tokens,
        "num_predict": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
    }
    options: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if sampling.stop:
        options["stop"] = list(sampling.stop)
    if options:
        body["options"] = options
    if sampling.logprobs:
        body["logprobs"] = True
        if sampling.top_logprobs is not None:
            body["top_logprobs"] = sampling.top_logprobs


def _write_thinking(reasoning: Reasoning | None, body: dict[str, Any], lost: list[Lost]) -> None:
    """Whether the model thinks, or how hard where it knows words for that."""
    if reasoning is None:
        return
    if reasoning.mode == "off":
        body["think"] = False
    elif reasoning.effort:
        body["think"] = reasoning.effort
    elif reasoning.mode == "on":
        body["think"] = True
    if reasoning.mode != "off" and reasoning.budget is not None:
        lost.append(Lost("budget_tokens", "this dialect bounds no thinking"))


def _messages(turn: Turn, names: dict[str, str], lost: list[Lost]) -> list[dict[str, Any]]:
    """A turn's messages; `names` are those of the tools by the ids of their calls."""
    if turn.role == "assistant":
        return [_written_assistant(turn, names, lost)]
    messages: list[dict[str, Any]] = []
    rest: list[Part] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            messages.append(_written_result(part, names))
        else:
            rest.append(part)
    if rest or not messages:
        role = "system" if turn.role == "system" else "user"
        messages.append({"role": role, **_shown(rest)})
    return messages


def _written_result(result: ToolResult, names: dict[str, str]) -> dict[str, Any]:
    message = {"role": "tool", **_shown(result.parts)}
    if result.error and not message["content"].lower().startswith("error"):
        message["content"] = f"Error: {message['content']}"
    name = names.get(result.id)
    return message if name is None else {**message, "tool_name": name}


def _shown(parts: Iterable[Part]) -> dict[str, Any]:
    """What people say or tools give: their words in one text, their pictures behind it."""
    texts, pictures = [], []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, Image):
            if not part.data:
                raise CannotCrossError("an image by its URL cannot be said here")
            pictures.append(part.data)
        elif isinstance(part, Document) and part.text:
            texts.append(f"{part.name}\n\n{part.text}" if part.name else part.text)
        else:
            raise CannotCrossError(f"a {type(part).__name__} cannot be said here")
    said: dict[str, Any] = {"content": "\n\n".join(texts)}
    return {**said, "images": pictures} if pictures else said


def _written_assistant(turn: Turn, names: dict[str, str], lost: list[Lost]) -> dict[str, Any]:
    # What a model said goes on from part to part.
    text = "".join(part.text for part in turn.parts if isinstance(part, Text | Refusal))
    message: dict[str, Any] = {"role": "assistant", "content": text}
    thoughts = [part for part in turn.parts if isinstance(part, Thinking)]
    own = "".join(part.text for part in thoughts if part.origin == DIALECT)
    if own:
        message["thinking"] = own
    if any(part.origin != DIALECT for part in thoughts):
        lost.append(Lost("thinking", "thoughts that another provider signed stay behind"))
    calls = []
    for part in turn.parts:
        if isinstance(part, ToolCall):
            names[part.id] = part.name
            given = Raw(part.arguments.encode())
            calls.append({"function": {"name": part.name, "arguments": given}})
    if calls:
        message["tool_calls"] = calls
    return message
