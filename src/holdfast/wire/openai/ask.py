"""Requests of OpenAI Chat Completions in the neutral form and back, after the documented API."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from holdfast.facts.losses import Lost
from holdfast.wire import kin
from holdfast.wire.fields import Fields, string
from holdfast.wire.files import PDF, document, file_name, pdf, picture
from holdfast.wire.fitting import fitted, flat, is_flat, itemised
from holdfast.wire.forms import IN_JSON, NOT_ENFORCED, enforced, wants_word
from holdfast.wire.freeform import arguments_of, freeform
from holdfast.wire.needs import is_marked
from holdfast.wire.openai.older import Calls, functions
from holdfast.wire.speech import (
    ALONE,
    LOOSER,
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
    ToolChoice,
    ToolResult,
    Turn,
    Written,
)

DIALECT = "openai"
STOP_SEQUENCES_MAX = 4
ID_CHARS_MAX = 40
NAME_CHARS_MAX = 64
USER_CHARS_MAX = 64
FORM_NAME = "answer"
_encode = msgspec.json.encode
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,;]*)*;base64,", re.IGNORECASE)
# Fields that say nothing by themselves, or that only ask for what crossing gives anyhow.
_SILENT = ("model", "stream_options")
PATH = "this path takes Chat Completions; Anthropic's requests go to /v1/messages"
# Fields without which the answer would be another one, and their values that change nothing.
_GRAVE: dict[str, tuple[bytes, ...]] = {
    "audio": (),
    "logit_bias": (b"{}",),
    "modalities": (b'["text"]', b"[]"),
    "web_search_options": (),
}


# -------------------------------------------------------------------- reading


def read_ask(body: bytes) -> Ask:
    """The request in the neutral form. Raises BadFieldError, CannotCrossError."""
    fields = Fields(body)
    lost: list[Lost] = []
    for name in _SILENT:
        fields.raw(name)
    for name, neutral in _GRAVE.items():
        value = fields.raw(name)
        if value and value not in neutral:
            lost.append(Lost(name, "it has no word outside its dialect", tolerable=False))
    system, turns = _turns(fields, lost)
    if fields.raw("system"):
        raise fields.refuse("system", "is of Anthropic's requests, which go to /v1/messages")
    if not turns and not system:
        raise fields.refuse("messages", f"is missing or empty; {PATH}")
    if turns and turns[-1].role == "assistant":
        raise CannotCrossError("messages: the conversation does not end with the user's words")
    if not turns:
        turns, system = [Turn("user", tuple(system))], []
        lost.append(Lost("system", ALONE))
    choice, allowed = kin.tool_choice(fields, _choice)
    tools = _tools(fields, allowed, lost)
    older, chosen = functions(fields, lost)
    if older and tools:
        raise fields.refuse("functions", "is an older name of tools; say one of the two")
    if older:
        tools, choice = older, chosen
    user, shared = kin.shared(fields, fields.raw(kin.VERBOSITY))
    ask = Ask(
        system=tuple(system),
        turns=tuple(turns),
        tools=tools,
        tool_choice=choice,
        sampling=_sampling(fields),
        reasoning=_reasoning(fields),
        form=_form(fields, lost),
        user=user,
        shared=shared,
    )
    lost += fields.losses()
    return msgspec.structs.replace(ask, lost=tuple(lost)) if lost else ask


def _sampling(fields: Fields) -> Sampling:
    longest, older = fields.count("max_completion_tokens"), fields.count("max_tokens")
    stop = fields.raw("stop")
    choices = fields.count("n")
    return Sampling(
        max_tokens=older if longest is None else longest,
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        top_k=fields.count("top_k"),
        seed=_seed(fields),
        frequency_penalty=fields.number("frequency_penalty"),
        presence_penalty=fields.number("presence_penalty"),
        stop=_stops(stop),
        choices=1 if choices is None else choices,
        logprobs=fields.flag("logprobs") or False,
        top_logprobs=fields.count("top_logprobs"),
        stream=fields.flag("stream") or False,
    )


def _seed(fields: Fields) -> int | None:
    value = fields.raw("seed")
    try:
        return msgspec.json.decode(value, type=int) if value else None
    except ValueError:
        raise fields.refuse("seed", "is not a whole number") from None


def _stops(stop: bytes) -> tuple[str, ...]:
    if not stop:
        return ()
    try:
        found = msgspec.json.decode(stop, type=str | list[str])
    except ValueError:
        raise BadFieldError("stop is neither a text nor a list of texts") from None
    return (found,) if isinstance(found, str) else tuple(found)


def _turns(fields: Fields, lost: list[Lost]) -> tuple[list[Text], list[Turn]]:
    system: list[Text] = []
    turns: list[Turn] = []
    calls = Calls()
    for message in fields.objects("messages"):
        role = message.text("role")
        content = message.raw("content")
        name = message.text("name")
        if role in ("system", "developer"):
            texts = _texts(content, message.name("content"), lost)
            if turns:
                turns.append(Turn("system", texts))
            else:
                system += texts
        elif role == "user":
            parts = tuple(_parts(content, message.name("content"), lost))
            if turns and _is_results(turns[-1]):
                turns[-1] = Turn("user", (*turns[-1].parts, *parts))
            else:
                turns.append(Turn("user", parts))
        elif role == "assistant":
            turns.append(Turn("assistant", tuple(_assistant(message, content, calls, lost))))
        elif role in ("tool", "function"):
            older = role == "function"
            id_ = calls.answered(message, name) if older else message.text("tool_call_id")
            result = _result(message, id_, content, lost)
            if turns and _is_results(turns[-1]):
                turns[-1] = Turn("user", (*turns[-1].parts, result))
            else:
                turns.append(Turn("user", (result,)))
        else:
            known = "system, developer, user, assistant and tool are known"
            raise message.refuse("role", f"is {role!r}; {known}")
        lost += message.losses()
    return system, turns


def _is_results(turn: Turn) -> bool:
    """Whether nothing stands behind the results of this turn yet."""
    return bool(turn.parts) and isinstance(turn.parts[-1], ToolResult)


def _texts(json: bytes, where: str, lost: list[Lost]) -> tuple[Text, ...]:
    found = tuple(_parts(json, where, lost))
    if not all(isinstance(part, Text) for part in found):
        raise BadFieldError(f"{where} holds more than text")
    return tuple(part for part in found if isinstance(part, Text) and part.text)


def _parts(json: bytes, where: str, lost: list[Lost]) -> Iterable[Part]:
    if json.startswith(b'"'):
        yield Text(string(json, where))
        return
    if not json.startswith(b"["):
        raise BadFieldError(f"{where} is neither text nor a list of parts")
    for part in Fields.listed(json, where):
        kind = part.text("type")
        read = _READ.get(kind or "")
        if kind is None:
            raise part.refuse("type", "is missing")
        if read is not None:
            yield read(part, lost)
        else:
            why = f"a part of type {kind} has no word outside its dialect"
            lost.append(Lost(part.where, why, tolerable=False))
            part.forget()
        lost += part.losses()


def _text(part: Fields, _: list[Lost]) -> Part:
    text = part.text("text")
    if text is None:
        raise part.refuse("text", "is missing")
    return Text(text, part.mapping("cache_control"))


def _refusal(part: Fields, _: list[Lost]) -> Part:
    return Refusal(part.text("refusal") or "")


def _image(part: Fields, lost: list[Lost]) -> Part:
    image = part.object("image_url")
    url = image.text("url") if image is not None else None
    if image is None or not url:
        raise part.refuse("image_url.url", "is missing")
    detail = image.text("detail") or ""
    lost += image.losses()
    cache = part.mapping("cache_control")
    found = _DATA_URL.match(url)
    if found:
        return Image(found[1], url[found.end() :], detail=detail, cache=cache)
    if url[:5].lower() == "data:":
        raise part.refuse("image_url.url", "is a data URL that is not in base64")
    return Image(url=url, detail=detail, cache=cache)


def _file(part: Fields, lost: list[Lost]) -> Part:
    file = part.object("file")
    if file is None:
        raise part.refuse("file", "is missing")
    data, name = file.text("file_data") or "", file.text("filename") or ""
    id_ = file.text("file_id")
    if id_:
        lost.append(Lost(file.where, f"the file {id_} lies with its provider", tolerable=False))
    elif not data:
        raise file.refuse("file_data", "is missing")
    lost += file.losses()
    found = _DATA_URL.match(data)
    media, data = (found[1], data[found.end() :]) if found else (PDF, data)
    return document(media, data, name, part.mapping("cache_control"))


_READ = {"text": _text, "refusal": _refusal, "image_url": _image, "file": _file}


def _assistant(
    message: Fields, content: bytes, older_calls: Calls, lost: list[Lost]
) -> Iterable[Part]:
    older = message.text("reasoning")
    thought = message.text("reasoning_content") or older
    if thought:
        yield Thinking(text=thought, origin=DIALECT)
    refusal = message.text("refusal")
    calls, called = message.objects("tool_calls"), message.object("function_call")
    if content:
        yield from _parts(content, message.name("content"), lost)
    elif not (calls or called or refusal or thought):
        raise message.refuse("content", "is neither text nor a list of parts")
    if refusal:
        yield Refusal(refusal)
    for call in calls:
        yield _call(call, lost)
    if called is not None:
        yield older_calls.begun(called)
        lost += called.losses()
    for name in ("annotations", "audio"):
        value = message.raw(name)
        if value not in (b"", b"[]"):
            lost.append(Lost(message.name(name), "it has no word outside its dialect"))


def _call(call: Fields, lost: list[Lost]) -> ToolCall:
    kind, id_ = call.text("type") or "function", call.text("id") or ""
    call.raw("index")
    custom = call.object("custom") if kind == "custom" else None
    if custom is not None:
        return _custom_call(custom, id_)
    if kind != "function":
        lost.append(Lost(call.where, f"a call of type {kind}", tolerable=False))
    function = call.object("function")
    name = function.text("name") if function is not None else None
    if function is None or not name:
        raise call.refuse("function.name", "is missing")
    arguments = function.text("arguments") or "{}"
    try:
        Fields(arguments.encode(), "arguments")
    except (BadFieldError, UnicodeEncodeError):
        raise function.refuse("arguments", "is not the text of a JSON object") from None
    lost += function.losses()
    lost += call.losses()
    return ToolCall(id_, name, arguments)


def _custom_call(custom: Fields, id_: str) -> ToolCall:
    name = custom.text("name")
    if not name:
        raise custom.refuse("name", "is missing")
    return ToolCall(id_, name, arguments_of(custom.text("input") or ""))


def _result(message: Fields, id_: str | None, content: bytes, lost: list[Lost]) -> ToolResult:
    if id_ is None:
        raise message.refuse("tool_call_id", "is missing")
    parts = tuple(_parts(content, message.name("content"), lost)) if content else ()
    kept = (part for part in parts if isinstance(part, Text | Image | Document))
    return ToolResult(id_, tuple(part for part in kept if part != Text("")))


def _tools(fields: Fields, allowed: frozenset[str] | None, lost: list[Lost]) -> tuple[Tool, ...]:
    tools = []
    for tool in fields.objects("tools"):
        kind = tool.text("type") or "function"
        inner = tool.object("function")
        custom = tool.object("custom") if kind == "custom" else None
        if custom is not None:
            tools.append(_custom(custom, lost))
            continue
        if kind != "function":
            # What the client runs itself it waits for; the provider's own tools can be missed.
            why = f"a tool of type {kind} has no word outside its dialect"
            lost.append(Lost(tool.where, why, tolerable=kind != "custom"))
            continue
        if inner is None:
            raise tool.refuse("function", "is missing")
        name = inner.text("name")
        if not name:
            raise inner.refuse("name", "is missing")
        description = inner.text("description") or ""
        cache = tool.mapping("cache_control")
        schema = inner.mapping("parameters") or Tool(name).schema
        tools.append(Tool(name, description, schema, inner.flag("strict"), cache=cache))
        lost += (*inner.losses(), *tool.losses())
    if allowed is not None:
        tools = [tool for tool in tools if tool.name in allowed]
    return tuple(tools)


def _custom(custom: Fields, lost: list[Lost]) -> Tool:
    name, form = custom.text("name"), custom.object("format")
    if not name:
        raise custom.refuse("name", "is missing")
    grammar = form.object("grammar") if form is not None else None
    found = freeform(name, custom.text("description") or "", grammar)
    lost += custom.losses()
    return found


def customs(asked: bytes) -> frozenset[str]:
    """The names of the client's tools whose input is text. Never raises."""
    if b'"custom"' not in asked:
        return frozenset()
    try:
        tools = Fields(asked).objects("tools")
        given = [tool.object("custom") for tool in tools if tool.text("type") == "custom"]
        return frozenset(one.text("name") or "" for one in given if one is not None)
    except BadFieldError:
        return frozenset()


def _choice(choice: Fields) -> kin.Chosen:
    """What `tool_choice` says in an object."""
    kind = choice.text("type") or ""
    inner = choice.object(kind)
    if kind in ("function", "custom"):
        name = inner.text("name") if inner is not None else None
        if not name:
            raise choice.refuse(f"{kind}.name", "is missing")
        return ToolChoice("named", name), None
    if kind == "allowed_tools" and inner is not None:
        mode = kin.MODES.get(inner.text("mode") or "auto", ToolChoice())
        names = set()
        for tool in inner.objects("tools"):
            function = tool.object(tool.text("type") or "function")
            names.add((function.text("name") if function is not None else None) or "")
        return mode, frozenset(names)
    raise choice.refuse("type", f"is {kind!r}; function, custom and allowed_tools are known")


def _reasoning(fields: Fields) -> Reasoning | None:
    effort = fields.text("reasoning_effort")
    if effort is None:
        return None
    return Reasoning("off") if effort == "none" else Reasoning("on", effort=effort)


def _form(fields: Fields, lost: list[Lost]) -> Form | None:
    form = fields.object("response_format")
    if form is None:
        return None
    kind = form.text("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return Form("json_object")
    schema = form.object("json_schema")
    if kind != "json_schema" or schema is None:
        raise form.refuse("type", f"is {kind!r}; text, json_object and json_schema are known")
    name = schema.text("name") or ""
    if schema.raw("description"):
        lost.append(Lost(schema.name("description"), "other dialects describe no form"))
    found = Form("json_schema", schema.mapping("schema") or b"{}", name, schema.flag("strict"))
    lost += schema.losses()
    return found


# -------------------------------------------------------------------- writing


def write_ask(ask: Ask, model: str) -> Written:
    """The request for a Chat target. Raises CannotCrossError.

    The limit is said as `max_completion_tokens`: newer models refuse the older `max_tokens`.
    """
    lost: list[Lost] = []
    messages: list[dict[str, Any]] = []
    system = "\n\n".join(part.text for part in ask.system if part.text)
    if wants_word(ask) and "json" not in system.lower():
        system = "\n\n".join(filter(None, (system, IN_JSON)))
    if system:
        messages.append({"role": "system", "content": system})
    # Thoughts go back only while the calls that they led to are being answered.
    loop = max((n for n, turn in enumerate(ask.turns) if _speaks(turn)), default=-1)
    for number, turn in enumerate(ask.turns):
        messages += _messages(turn, lost, loops=number > loop)
    body: dict[str, Any] = {"model": model, "messages": messages}
    _write_tools(ask, body, lost)
    _write_sampling(ask.sampling, body, lost)
    if ask.form is not None:
        form = enforced(ask.form)
        body["response_format"] = _written_form(form)
        if form.strict != ask.form.strict:
            lost.append(Lost("response_format", NOT_ENFORCED))
    effort = kin.effort(ask.reasoning)
    if effort:
        body["reasoning_effort"] = effort
    if ask.user:
        short = len(ask.user) <= USER_CHARS_MAX
        body["user"] = ask.user if short else fitted(ask.user, USER_CHARS_MAX)
    verbosity = kin.say(ask, body)
    if verbosity:
        body[kin.VERBOSITY] = Raw(verbosity)
    if is_marked(ask):
        lost.append(Lost("cache_control", "targets of this dialect cache by themselves"))
    return Written(_encode(body), tuple(lost))


def _speaks(turn: Turn) -> bool:
    """Whether people speak in it, and not only their tools."""
    return turn.role == "user" and not all(isinstance(part, ToolResult) for part in turn.parts)


def _write_sampling(sampling: Sampling, body: dict[str, Any], lost: list[Lost]) -> None:
    if len(sampling.stop) > STOP_SEQUENCES_MAX:
        raise CannotCrossError(f"this dialect takes {STOP_SEQUENCES_MAX} stop sequences at most")
    if sampling.top_k is not None:
        lost.append(Lost("top_k", "this dialect has none"))
    said = {
        "max_completion_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "top_logprobs": sampling.top_logprobs,
    }
    body |= {name: value for name, value in said.items() if value is not None}
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.choices != 1:
        body["n"] = sampling.choices
    if sampling.logprobs:
        body["logprobs"] = True
    if sampling.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}


def _write_tools(ask: Ask, body: dict[str, Any], lost: list[Lost]) -> None:
    if not ask.tools:
        return
    body["tools"] = [_written_tool(tool) for tool in ask.tools]
    if not all(is_flat(tool.schema) for tool in ask.tools):
        lost.append(Lost("tools", LOOSER))
    if ask.tool_choice is not None:
        named = {"function": {"name": fitted(ask.tool_choice.name, NAME_CHARS_MAX)}}
        kin.choose(ask.tool_choice, named, body)


def _written_tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": fitted(tool.name, NAME_CHARS_MAX)}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = Raw(itemised(flat(tool.schema)))
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _written_form(form: Form) -> dict[str, Any]:
    if form.kind == "json_object":
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": form.name or FORM_NAME, "schema": Raw(form.schema)}
    if form.strict is not None:
        schema["strict"] = form.strict
    return {"type": "json_schema", "json_schema": schema}


def _messages(turn: Turn, lost: list[Lost], *, loops: bool) -> list[dict[str, Any]]:
    if turn.role == "assistant":
        return [_written_assistant(turn, lost, loops=loops)]
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    rest: list[Part] = [part for part in turn.parts if not isinstance(part, ToolResult)]
    messages: list[dict[str, Any]] = []
    for result in results:
        text, shown = _written_result(result)
        id_ = fitted(result.id, ID_CHARS_MAX)
        messages.append({"role": "tool", "tool_call_id": id_, "content": text})
        # A result is text here; what it shows stands behind the results, where people show things.
        rest = [*shown, *rest]
    if rest or not results:
        role = "system" if turn.role == "system" else "user"
        messages.append({"role": role, "content": _content(rest)})
    return messages


def _written_result(result: ToolResult) -> tuple[str, list[Part]]:
    texts = [part.text for part in result.parts if isinstance(part, Text)]
    shown: list[Part] = [part for part in result.parts if not isinstance(part, Text)]
    text = "\n\n".join(texts)
    if result.error and not text.lower().startswith("error"):
        text = f"Error: {text}"
    if shown:
        text = text or "(shown below)"
        shown = [Text(f"(shown by the tool call {fitted(result.id, ID_CHARS_MAX)})"), *shown]
    return text, shown


def _content(parts: list[Part]) -> str | list[dict[str, Any]]:
    """A text where it is nothing but text: many engines take nothing else."""
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) == len(parts):
        return "\n\n".join(texts)
    return [_written(part) for part in parts]


def _written(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        url = part.url or f"data:{picture(part.media_type)};base64,{part.data}"
        return {"type": "image_url", "image_url": _detailed(url, part.detail)}
    if not isinstance(part, Document):
        raise CannotCrossError(f"a {type(part).__name__} where people speak")
    if part.text:
        head = f"{part.name}\n\n" if part.name else ""
        return {"type": "text", "text": head + part.text}
    if part.url:
        raise CannotCrossError("a document by its URL cannot be said in this dialect")
    data = f"data:{pdf(part)};base64,{part.data}"
    return {"type": "file", "file": {"filename": file_name(part), "file_data": data}}


def _detailed(url: str, detail: str) -> dict[str, str]:
    return {"url": url, "detail": detail} if detail else {"url": url}


def _written_assistant(turn: Turn, lost: list[Lost], *, loops: bool) -> dict[str, Any]:
    # What a model said goes on from part to part.
    text = "".join(part.text for part in turn.parts if isinstance(part, Text))
    refusal = "".join(part.text for part in turn.parts if isinstance(part, Refusal))
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    if refusal:
        message |= {"content": text or None, "refusal": refusal}
    thoughts = [part for part in turn.parts if isinstance(part, Thinking)]
    own = "".join(part.text for part in thoughts if part.origin == DIALECT)
    if own and loops:
        message["reasoning_content"] = own
    if any(part.origin != DIALECT for part in thoughts):
        lost.append(Lost("thinking", "thoughts that another provider signed stay behind"))
    if calls:
        message["tool_calls"] = [
            {
                "id": fitted(call.id, ID_CHARS_MAX),
                "type": "function",
                "function": {
                    "name": fitted(call.name, NAME_CHARS_MAX),
                    "arguments": call.arguments,
                },
            }
            for call in calls
        ]
    return message
