"""Requests of OpenAI Responses in the neutral form and back, after the documented API.

A conversation is a list of items here: messages, calls, results, reasoning. Items of the model's
that follow each other are one turn of the neutral form. Reasoning is sealed by its provider and
is good for nobody else; what others thought goes to a client in the same field, marked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.losses import Lost
from holdfast.wire import kin
from holdfast.wire.fields import Fields, string
from holdfast.wire.files import PDF, document, file_name, picture
from holdfast.wire.fitting import fitted, flat, is_flat, itemised
from holdfast.wire.forms import IN_JSON, NOT_ENFORCED, enforced, wants_word
from holdfast.wire.freeform import arguments_of, freeform
from holdfast.wire.needs import is_marked
from holdfast.wire.schemas import named_once
from holdfast.wire.speech import (
    ALONE,
    FOREIGN,
    LOOSER,
    TAKES_ALL,
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
    Takes,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Written,
)

DIALECT: Final = "openai-responses"
ID_CHARS_MAX = 64
NAME_CHARS_MAX = 64
USER_CHARS_MAX = 64
TOKENS_MIN = 16  # the least that `max_output_tokens` may be
FORM_NAME = "answer"
SEALED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
CACHE = b'{"type":"ephemeral"}'
NOT_HERE = "what was said before is not known here"
_encode = msgspec.json.encode
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,;]*)*;base64,", re.IGNORECASE)
# Fields that say nothing by themselves, or that only ask for what crossing gives anyhow.
_SILENT = ("model", "stream_options")
# Fields without which the answer would be another one, and their values that change nothing.
_GRAVE: dict[str, tuple[bytes, ...]] = {
    "background": (b"false",),
    "conversation": (),
    "previous_response_id": (),
    "prompt": (),
}
# Fields whose usual values ask for nothing.
_USUAL: dict[str, tuple[bytes, ...]] = {
    "truncation": (b'"disabled"',),
}
# What the provider did by itself: the model's words say what came of it.
_SERVER = (
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "mcp_list_tools",
    "mcp_call",
    "tool_search_call",
    "program",
    "program_output",
)
# Tools that the client runs itself, and waits for: it is lost without them.
_CLIENTS = ("local_shell", "shell", "apply_patch", "computer", "computer_use_preview")
_HOW = ("allowed_callers", "async", "defer_loading", "output_schema")
_ABOUT = ("id", "status", "phase", "caller", "async", "created_by")


# ---------------------------------------------------------------------- names


class Own(Struct, frozen=True):
    """A tool as a client of this dialect knows it. `custom`: its input is text and no JSON."""

    name: str
    namespace: str = ""
    custom: bool = False


class Names:
    """The one name of each tool that other dialects know it by, and back."""

    __slots__ = ("own", "plain")

    def __init__(self) -> None:
        self.own: dict[str, Own] = {}
        self.plain: dict[tuple[str, str], str] = {}

    def tell(self, own: Own) -> str:
        """The plain name of a tool; the same for the same one."""
        key = (own.namespace, own.name)
        known = self.plain.get(key)
        if known is not None:
            return known
        space = own.namespace
        joint = "" if not space or space.endswith("__") else "__"
        name = first = f"{space}{joint}{own.name}"
        number = 1
        while name in self.own:
            number += 1
            name = f"{first}_{number}"
        self.own[name] = own
        self.plain[key] = name
        return name


def names_of(asked: bytes) -> dict[str, Own]:
    """The client's own tools by their plain names, where those are not the same. Never raises."""
    if b'"namespace"' not in asked and b'"custom"' not in asked:
        return {}
    names = Names()
    with suppress(CannotCrossError):  # it is answered all the same: what was read is known
        _read(asked, names)
    return {name: own for name, own in names.own.items() if own != Own(name)}


# ------------------------------------------------------------------- thoughts


def thinking_of(text: str, id_: str, sealed: str) -> Thinking:
    """A reasoning item; one that another dialect's provider signed is given back to it."""
    if not sealed.startswith(FOREIGN):
        return Thinking(text=text, signature=f"{id_}:{sealed}" if sealed else "", origin=DIALECT)
    origin, _, rest = sealed[len(FOREIGN) :].partition(".")
    kind, _, payload = rest.partition(".")
    if kind == "data":
        return Thinking(text=text, data=payload, origin=origin)
    return Thinking(text=text, signature=payload, origin=origin)


def sealed(thinking: Thinking) -> tuple[str, str]:
    """The id of a reasoning item, "" where it has none of its own, and its encrypted content."""
    if thinking.origin == DIALECT:
        id_, _, content = thinking.signature.partition(":")
        return id_, content
    kind, payload = ("data", thinking.data) if thinking.data else ("text", thinking.signature)
    return "", f"{FOREIGN}{thinking.origin}.{kind}.{payload}"


_FOREIGN_MARK = f'"{FOREIGN}'.encode()
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_items_of = msgspec.json.Decoder(list[Raw]).decode


class _Sealed(Struct):
    type: str = ""
    encrypted_content: str | None = None


def own(body: bytes, takes: Takes = TAKES_ALL) -> bytes:
    """A request of this dialect without the reasoning that its target does not take.

    Byte for byte as it came where there is none, and where it is not of the dialect, which is for
    its provider to say. Never raises.
    """
    # From behind it is looked for in a third of the time, and 60 kB take a while.
    foreign = body.rfind(_FOREIGN_MARK) >= 0
    if not foreign and (takes.signed is None or body.rfind(b'"encrypted_content"') < 0):
        return body
    try:
        fields = _fields(body)
        items = _items_of(fields["input"])
        kept = [item for item in items if _is_taken(item, takes)]
    except (KeyError, *UNREADABLE):
        return body
    return body if len(kept) == len(items) else _encode({**fields, "input": kept})


def _is_taken(item: Raw, takes: Takes) -> bool:
    if b'"encrypted_content"' not in bytes(item):
        return True
    try:
        found = msgspec.json.decode(item, type=_Sealed)
    except UNREADABLE:
        return True
    seal = found.encrypted_content
    if found.type != "reasoning" or not seal:
        return True
    return not seal.startswith(FOREIGN) and (takes.signed is None or takes.signed(seal))


# -------------------------------------------------------------------- reading


def read_ask(body: bytes) -> Ask:
    """The request in the neutral form. Raises BadFieldError, CannotCrossError."""
    return _read(body, Names())


def _read(body: bytes, names: Names) -> Ask:
    fields = Fields(body)
    lost: list[Lost] = []
    for name in _SILENT:
        fields.raw(name)
    for name, neutral in _GRAVE.items():
        value = fields.raw(name)
        if value and value not in neutral:
            past = name in ("conversation", "previous_response_id")
            why = NOT_HERE if past else "it has no word outside its dialect"
            lost.append(Lost(name, why, tolerable=False))
    for name, usual in _USUAL.items():
        value = fields.raw(name)
        if value and value not in usual:
            lost.append(Lost(name, "it has no word outside its dialect"))
    tools = _tools(fields.objects("tools"), names, lost)
    named_once(tools)  # what comes with the items may well come again
    talk = _talk(fields, names, lost)
    if not talk.turns and talk.system:
        talk.people(list(talk.system))
        talk.system = []
        lost.append(Lost("system", ALONE))
    instructions = fields.text("instructions")
    before = (Text(instructions),) if instructions else ()
    choice, allowed = kin.tool_choice(fields, lambda choice: _choice(choice, names))
    tools = list({tool.name: tool for tool in (*tools, *talk.tools)}.values())
    if allowed is not None:
        tools = [tool for tool in tools if tool.name in allowed]
    form, verbosity = _form(fields, lost)
    user, shared = kin.shared(fields, verbosity)
    ask = Ask(
        system=(*before, *talk.system),
        turns=tuple(Turn(turn.role, tuple(turn.parts)) for turn in talk.turns),
        tools=tuple(tools),
        tool_choice=choice,
        sampling=_sampling(fields),
        reasoning=_reasoning(fields, lost),
        form=form,
        user=user,
        shared=shared,
    )
    unsaid = not ask.turns or ask.turns[-1].role == "assistant"
    if unsaid and all(loss.tolerable for loss in lost):  # else what is lost is why
        raise CannotCrossError("input: the conversation does not end with the user's words")
    lost += fields.losses()
    return msgspec.structs.replace(ask, lost=tuple(lost)) if lost else ask


def _sampling(fields: Fields) -> Sampling:
    included = fields.texts("include")
    most = fields.count("top_logprobs")
    return Sampling(
        max_tokens=fields.count("max_output_tokens"),
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        logprobs=LOGPROBS in included,
        top_logprobs=most,
        stream=fields.flag("stream") or False,
    )


def _reasoning(fields: Fields, lost: list[Lost]) -> Reasoning | None:
    found = fields.object("reasoning")
    if found is None:
        return None
    effort = found.text("effort")
    for name in ("summary", "generate_summary"):
        found.raw(name)  # how it is shown, not how much is thought
    lost += found.losses()
    if effort is None:
        return None
    return Reasoning("off") if effort == "none" else Reasoning("on", effort=effort)


def _form(fields: Fields, lost: list[Lost]) -> tuple[Form | None, bytes]:
    """The form of the answer, and how many words it is to make."""
    text = fields.object("text")
    if text is None:
        return None, b""
    form, verbosity = text.object("format"), text.raw(kin.VERBOSITY)
    lost += text.losses()
    return _formed(form, lost), verbosity


def _formed(form: Fields | None, lost: list[Lost]) -> Form | None:
    kind = form.text("type") if form is not None else "text"
    if form is None or kind == "text":
        return None
    if kind == "json_object":
        return Form("json_object")
    if kind != "json_schema":
        raise form.refuse("type", f"is {kind!r}; text, json_object and json_schema are known")
    if form.raw("description"):
        lost.append(Lost(form.name("description"), "other dialects describe no form"))
    schema = form.raw("schema")
    if not schema.startswith(b"{"):
        raise form.refuse("schema", "is not a JSON object")
    found = Form("json_schema", schema, form.text("name") or "", form.flag("strict"))
    lost += form.losses()
    return found


# ---------------------------------------------------------------------- tools


def _tools(given: list[Fields], names: Names, lost: list[Lost], space: str = "") -> list[Tool]:
    tools: list[Tool] = []
    for tool in given:
        kind = tool.text("type") or ""
        if kind == "function":
            tools.append(_function(tool, names, space, lost))
        elif kind == "custom":
            tools.append(_custom(tool, names, space, lost))
        elif kind == "namespace" and not space:
            within = tool.text("name")
            if not within:
                raise tool.refuse("name", "is missing")
            tool.raw("description")
            tools += _tools(tool.objects("tools"), names, lost, within)
            lost += tool.losses()
        elif not kind:
            raise tool.refuse("type", "is missing")
        else:
            why = f"a tool of type {kind} has no word outside its dialect"
            lost.append(Lost(tool.where, why, tolerable=kind not in _CLIENTS))
    return tools


def _function(tool: Fields, names: Names, space: str, lost: list[Lost]) -> Tool:
    inner = tool.object("function") or tool  # as Chat nests it, which some clients send here
    name = inner.text("name")
    if not name:
        raise inner.refuse("name", "is missing")
    schema = inner.mapping("parameters") or Tool(name).schema
    for how in _HOW:
        inner.raw(how)  # how it is called and loaded there, not what it is
    description = inner.text("description") or ""
    strict = inner.flag("strict")
    lost += inner.losses()
    if inner is not tool:
        lost += tool.losses()
    return Tool(names.tell(Own(name, space)), description, schema, strict)


def _custom(tool: Fields, names: Names, space: str, lost: list[Lost]) -> Tool:
    name = tool.text("name")
    if not name:
        raise tool.refuse("name", "is missing")
    description = tool.text("description") or ""
    form = tool.object("format")
    grammar = form if form is not None and form.text("type") == "grammar" else None
    for how in _HOW:
        tool.raw(how)
    lost += tool.losses()
    plain = names.tell(Own(name, space, custom=True))
    return freeform(plain, description, grammar)


def _choice(choice: Fields, names: Names) -> kin.Chosen:
    """What `tool_choice` says in an object."""
    kind = choice.text("type") or ""
    if kind in _CALLED:
        return ToolChoice("named", _chosen(choice, names)), None
    if kind == "allowed_tools":
        mode = kin.MODES.get(choice.text("mode") or "auto", ToolChoice())
        found = [tool for tool in choice.objects("tools") if tool.text("type") in _CALLED]
        return mode, frozenset(_chosen(tool, names) for tool in found)
    raise CannotCrossError(
        f"tool_choice.type: a tool of type {kind} has no word outside its dialect"
    )


_CALLED = ("function", "custom")


def _chosen(choice: Fields, names: Names) -> str:
    name = choice.text("name")
    if not name:
        raise choice.refuse("name", "is missing")
    return names.tell(Own(name, choice.text("namespace") or ""))


# ----------------------------------------------------------------------- talk


class _Turn:
    """A turn on its way."""

    __slots__ = ("parts", "role")

    def __init__(self, role: Literal["user", "assistant", "system"], parts: list[Part]) -> None:
        self.role = role
        self.parts = parts


class _Talk:
    """The items so far, as turns; `tools` are those that came with them."""

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.turns: list[_Turn] = []
        self.tools: list[Tool] = []

    def model(self, parts: Iterable[Part]) -> None:
        """The model goes on."""
        if self.turns and self.turns[-1].role == "assistant":
            self.turns[-1].parts += parts
        else:
            self.turns.append(_Turn("assistant", list(parts)))

    def people(self, parts: list[Part]) -> None:
        """People speak; behind results in the same turn."""
        last = self.turns[-1].parts if self.turns else []
        if last and isinstance(last[-1], ToolResult):
            last += parts
        else:
            self.turns.append(_Turn("user", parts))

    def result(self, result: ToolResult) -> None:
        """A tool's answer: before what people say in the same turn."""
        if not self.turns or self.turns[-1].role != "user":
            self.turns.append(_Turn("user", [result]))
            return
        parts = self.turns[-1].parts
        at = next((n for n, p in enumerate(parts) if not isinstance(p, ToolResult)), len(parts))
        parts.insert(at, result)

    def rules(self, texts: tuple[Text, ...]) -> None:
        """The developer speaks."""
        if self.turns:
            self.turns.append(_Turn("system", list(texts)))
        else:
            self.system += texts


def _talk(fields: Fields, names: Names, lost: list[Lost]) -> _Talk:
    given = fields.raw("input")
    talk = _Talk()
    if given.startswith(b'"'):
        talk.people([Text(string(given, "input"))])
        return talk
    if not given.startswith(b"["):
        raise BadFieldError("input is neither text nor a list of items")
    for item in Fields.listed(given, "input"):
        kind = item.text("type") or "message"
        read = _ITEMS.get(kind)
        if read is not None:
            read(item, talk, names, lost)
        elif kind in _SERVER:
            lost.append(Lost(item.where, f"a {kind} of the provider's own tools"))
            item.forget()
        else:
            why = f"an item of type {kind} has no word outside its dialect"
            lost.append(Lost(item.where, why, tolerable=False))
            item.forget()
        for name in _ABOUT:
            item.raw(name)
        lost += item.losses()
    return talk


def _message(item: Fields, talk: _Talk, _: Names, lost: list[Lost]) -> None:
    role = item.text("role")
    parts = _content(item, "content", lost)
    if role == "user":
        talk.people(parts)
    elif role == "assistant":
        talk.model(parts)
    elif role in ("system", "developer"):
        if not all(isinstance(part, Text) for part in parts):
            raise item.refuse("content", "holds more than text")
        talk.rules(tuple(p for p in parts if isinstance(p, Text) and p.text))
    else:
        known = "user, assistant, system and developer are known"
        raise item.refuse("role", f"is {role!r}; {known}")


def _content(item: Fields, field: str, lost: list[Lost]) -> list[Part]:
    json, where = item.raw(field), item.name(field)
    if json.startswith(b'"'):
        return [Text(string(json, where))]
    if not json.startswith(b"["):
        raise BadFieldError(f"{where} is neither text nor a list of parts")
    parts: list[Part] = []
    for part in Fields.listed(json, where):
        kind = part.text("type")
        if kind is None:
            raise part.refuse("type", "is missing")
        read = _PARTS.get(kind)
        if read is not None:
            parts.append(read(part, lost))
        else:
            why = f"a part of type {kind} has no word outside its dialect"
            lost.append(Lost(part.where, why, tolerable=False))
            part.forget()
        lost += part.losses()
    return parts


def _text(part: Fields, lost: list[Lost]) -> Part:
    text = part.text("text")
    if text is None:
        raise part.refuse("text", "is missing")
    part.raw("logprobs")
    if part.raw("annotations") not in (b"", b"[]"):
        lost.append(Lost(part.name("annotations"), "it has no word outside its dialect"))
    return Text(text, _cache(part))


def _cache(part: Fields) -> bytes:
    return CACHE if part.raw("prompt_cache_breakpoint") else b""


def _refusal(part: Fields, _: list[Lost]) -> Part:
    return Refusal(part.text("refusal") or "")


def _image(part: Fields, lost: list[Lost]) -> Part:
    url, detail = part.text("image_url") or "", part.text("detail") or ""
    cache = _cache(part)
    id_ = part.text("file_id")
    if id_:
        lost.append(Lost(part.where, f"the file {id_} lies with its provider", tolerable=False))
    elif not url:
        raise part.refuse("image_url", "is missing")
    found = _DATA_URL.match(url)
    detail = "" if detail == "auto" else detail
    if found:
        return Image(found[1], url[found.end() :], detail=detail, cache=cache)
    if url[:5].lower() == "data:":
        raise part.refuse("image_url", "is a data URL that is not in base64")
    return Image(url=url, detail=detail, cache=cache)


def _file(part: Fields, lost: list[Lost]) -> Part:
    data, url = part.text("file_data") or "", part.text("file_url") or ""
    name, id_ = part.text("filename") or "", part.text("file_id")
    part.raw("detail")
    if id_:
        lost.append(Lost(part.where, f"the file {id_} lies with its provider", tolerable=False))
    elif not (data or url):
        raise part.refuse("file_data", "is missing")
    found = _DATA_URL.match(data)
    media, data = (found[1], data[found.end() :]) if found else (PDF, data)
    if url:
        return Document(url=url, name=name, cache=_cache(part))
    return document(media, data, name, _cache(part))


_PARTS: dict[str, Callable[[Fields, list[Lost]], Part]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
}


def _call(item: Fields, talk: _Talk, names: Names, _: list[Lost]) -> None:
    name, arguments = _called(item), item.text("arguments") or "{}"
    try:
        Fields(arguments.encode(), "arguments")
    except (BadFieldError, UnicodeEncodeError):
        raise item.refuse("arguments", "is not the text of a JSON object") from None
    plain = names.tell(Own(name, item.text("namespace") or ""))
    talk.model((ToolCall(_call_id(item), plain, arguments),))


def _custom_call(item: Fields, talk: _Talk, names: Names, _: list[Lost]) -> None:
    arguments = arguments_of(item.text("input") or "")
    plain = names.tell(Own(_called(item), item.text("namespace") or "", custom=True))
    talk.model((ToolCall(_call_id(item), plain, arguments),))


def _called(item: Fields) -> str:
    name = item.text("name")
    if not name:
        raise item.refuse("name", "is missing")
    return name


def _call_id(item: Fields) -> str:
    id_ = item.text("call_id")
    if not id_:
        raise item.refuse("call_id", "is missing")
    return id_


def _output(item: Fields, talk: _Talk, _: Names, lost: list[Lost]) -> None:
    id_ = _call_id(item)
    for name in ("name", "namespace"):
        item.raw(name)
    parts = _content(item, "output", lost)
    kept = (part for part in parts if isinstance(part, Text | Image | Document))
    talk.result(ToolResult(id_, tuple(part for part in kept if part != Text(""))))


def _thought(item: Fields, talk: _Talk, _: Names, __: list[Lost]) -> None:
    id_ = item.text("id") or ""
    texts = [part.text("text") or "" for part in item.objects("summary")]
    texts = texts or [part.text("text") or "" for part in item.objects("content")]
    found = thinking_of("\n\n".join(texts), id_, item.text("encrypted_content") or "")
    if found != Thinking(origin=DIALECT):
        talk.model((found,))


def _more_tools(item: Fields, talk: _Talk, names: Names, lost: list[Lost]) -> None:
    for name in ("role", "call_id", "execution"):
        item.raw(name)
    talk.tools += _tools(item.objects("tools"), names, lost)


_ITEMS: dict[str, Callable[[Fields, _Talk, Names, list[Lost]], None]] = {
    "message": _message,
    "function_call": _call,
    "custom_tool_call": _custom_call,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
    "reasoning": _thought,
    "additional_tools": _more_tools,
    "tool_search_output": _more_tools,
}


# -------------------------------------------------------------------- writing


def write_ask(ask: Ask, model: str) -> Written:
    """The request for a Responses target. Raises CannotCrossError.

    Nothing is stored there: the whole conversation goes along each time.
    """
    lost: list[Lost] = []
    items: list[dict[str, Any]] = []
    if wants_word(ask):  # in the input: instructions do not count
        items.append({"role": "system", "content": IN_JSON})
    for turn in ask.turns:
        items += _written_turn(turn, lost)
    body: dict[str, Any] = {"model": model, "input": items, "store": False}
    instructions = "\n\n".join(part.text for part in ask.system if part.text)
    if instructions:
        body["instructions"] = instructions
    include: list[str] = []
    _write_tools(ask, body, lost)
    _write_sampling(ask.sampling, body, include, lost)
    if ask.form is not None:
        form = enforced(ask.form)
        body["text"] = {"format": _written_form(form)}
        if form.strict != ask.form.strict:
            lost.append(Lost("response_format", NOT_ENFORCED))
    effort = kin.effort(ask.reasoning)
    if effort:
        body["reasoning"] = {"effort": effort}
    if effort not in ("", kin.OFF) or any(item.get("type") == "reasoning" for item in items):
        include.append(SEALED)  # models that do not think refuse to be asked for it
    if include:
        body["include"] = include
    if ask.user:
        short = len(ask.user) <= USER_CHARS_MAX
        body["user"] = ask.user if short else fitted(ask.user, USER_CHARS_MAX)
    verbosity = kin.say(ask, body)
    if verbosity:
        body["text"] = {**body.get("text", {}), kin.VERBOSITY: Raw(verbosity)}
    if is_marked(ask):
        lost.append(Lost("cache_control", "targets of this dialect cache by themselves"))
    return Written(_encode(body), tuple(lost))


def _write_sampling(
    sampling: Sampling, body: dict[str, Any], include: list[str], lost: list[Lost]
) -> None:
    if sampling.choices != 1:
        lost.append(Lost("n", "this dialect gives one answer", tolerable=False))
    if sampling.stop:
        lost.append(Lost("stop", "this dialect has no stop sequences"))
    strange = ("top_k", "seed", "frequency_penalty", "presence_penalty")
    lost += [Lost(name, "this dialect has none") for name in strange if getattr(sampling, name)]
    if sampling.max_tokens is not None:
        body["max_output_tokens"] = max(TOKENS_MIN, sampling.max_tokens)
        if sampling.max_tokens < TOKENS_MIN:
            why = f"{sampling.max_tokens} was raised to {TOKENS_MIN}, the least here"
            lost.append(Lost("max_tokens", why))
    for name in ("temperature", "top_p", "top_logprobs"):
        value = getattr(sampling, name)
        if value is not None:
            body[name] = value
    if sampling.logprobs:
        include.append(LOGPROBS)
    if sampling.stream:
        body["stream"] = True


def _write_tools(ask: Ask, body: dict[str, Any], lost: list[Lost]) -> None:
    if not ask.tools:
        return
    body["tools"] = [_written_tool(tool) for tool in ask.tools]
    if not all(is_flat(tool.schema) for tool in ask.tools):
        lost.append(Lost("tools", LOOSER))
    if ask.tool_choice is not None:
        named = {"name": fitted(ask.tool_choice.name, NAME_CHARS_MAX)}
        kin.choose(ask.tool_choice, named, body)


def _written_tool(tool: Tool) -> dict[str, Any]:
    """A tool; without a word on `strict` this dialect would try to be, where others are not."""
    found: dict[str, Any] = {"type": "function", "name": fitted(tool.name, NAME_CHARS_MAX)}
    if tool.description:
        found["description"] = tool.description
    return found | {"parameters": Raw(itemised(flat(tool.schema))), "strict": tool.strict or False}


def _written_form(form: Form) -> dict[str, Any]:
    if form.kind == "json_object":
        return {"type": "json_object"}
    found: dict[str, Any] = {"type": "json_schema", "name": form.name or FORM_NAME}
    found["schema"] = Raw(form.schema)
    if form.strict is not None:
        found["strict"] = form.strict
    return found


def _written_turn(turn: Turn, lost: list[Lost]) -> list[dict[str, Any]]:
    if turn.role == "assistant":
        return _written_model(turn, lost)
    items: list[dict[str, Any]] = []
    rest: list[Part] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            items.append(_written_result(part))
        else:
            rest.append(part)
    if rest or not items:
        items.append({"role": turn.role, "content": _written_content(rest)})
    return items


def _written_content(parts: list[Part]) -> str | list[dict[str, Any]]:
    """A text where it is nothing but one text: some engines take nothing else."""
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [_written(part) for part in parts]


def _written(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, Image):
        url = part.url or f"data:{picture(part.media_type)};base64,{part.data}"
        return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
    if not isinstance(part, Document):
        raise CannotCrossError(f"a {type(part).__name__} where people speak")
    if part.text:
        head = f"{part.name}\n\n" if part.name else ""
        return {"type": "input_text", "text": head + part.text}
    found = {"type": "input_file"}
    if part.url:
        return found | {"file_url": part.url}
    data = f"data:{part.media_type or PDF};base64,{part.data}"
    return found | {"filename": file_name(part), "file_data": data}


def _written_result(result: ToolResult) -> dict[str, Any]:
    parts: list[Part] = list(result.parts)
    if result.error:
        text = parts[0].text if parts and isinstance(parts[0], Text) else ""
        if not text.lower().startswith("error"):
            parts[: 1 if text else 0] = [Text(f"Error: {text}")]
    return {
        "type": "function_call_output",
        "call_id": fitted(result.id, ID_CHARS_MAX),
        "output": _written_content(parts),
    }


def _written_model(turn: Turn, lost: list[Lost]) -> list[dict[str, Any]]:
    """What a model said: its words that follow each other are one message."""
    items: list[dict[str, Any]] = []
    words: list[Text | Refusal] = []
    for part in turn.parts:
        if isinstance(part, Text | Refusal):
            words.append(part)
            continue
        item = _written_act(part, lost)
        if item is not None:
            items += _written_words(words)
            items.append(item)
            words = []
    return items + _written_words(words)


def _written_words(words: list[Text | Refusal]) -> list[dict[str, Any]]:
    if not any(part.text for part in words):
        return []
    if all(isinstance(part, Text) for part in words):
        return [{"role": "assistant", "content": "".join(part.text for part in words)}]
    content = [
        {"type": "output_text", "text": part.text, "annotations": []}
        if isinstance(part, Text)
        else {"type": "refusal", "refusal": part.text}
        for part in words
    ]
    return [{"type": "message", "role": "assistant", "status": "completed", "content": content}]


def _written_act(part: Part, lost: list[Lost]) -> dict[str, Any] | None:
    """A call or a thought; None where there is nothing to say of it here."""
    if isinstance(part, ToolCall):
        return {
            "type": "function_call",
            "call_id": fitted(part.id, ID_CHARS_MAX),
            "name": fitted(part.name, NAME_CHARS_MAX),
            "arguments": part.arguments,
        }
    if not isinstance(part, Thinking):
        raise CannotCrossError(f"a {type(part).__name__} where the model speaks")
    id_, content = sealed(part)
    if part.origin != DIALECT or not content:
        lost.append(Lost("thinking", "thoughts that this provider did not seal stay behind"))
        return None
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    named = {"id": id_} if id_ else {}
    return {"type": "reasoning", **named, "summary": summary, "encrypted_content": content}
