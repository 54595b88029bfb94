"""Requests of Anthropic Messages in the neutral form and back, after the documented API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.losses import Lost
from holdfast.wire.anthropic.schema import enforceable
from holdfast.wire.fields import Fields
from holdfast.wire.files import pdf, picture
from holdfast.wire.fitting import fitted, flat, is_flat
from holdfast.wire.forms import IN_JSON
from holdfast.wire.speech import (
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

DIALECT = "anthropic"
DEFAULT_MAX_TOKENS = 4096
ID_CHARS_MAX = 64
NAME_CHARS_MAX = 128
TEMPERATURE_MAX = 1.0
BUDGET_MIN = 1024
PATH = "this path takes Anthropic's requests; OpenAI's go to /v1/chat/completions or /v1/responses"
# Said where the model has the first word, which this dialect does not give it.
OPENING = "(The assistant begins.)"
_encode = msgspec.json.encode
_object = msgspec.json.Decoder(dict[str, Raw]).decode
# What the model's side of the conversation did with the provider's own tools: its words stay.
_SERVER = ("server_tool_use", "mcp_tool_use", "compaction")
# Tools of the provider's that the client runs itself, and waits for: it is lost without them.
_CLIENTS = ("bash_", "computer_", "memory_", "text_editor_")
# Fields that say nothing by themselves, or what `messages` say better.
_SILENT = ("model", "betas")
# Fields without which the answer would be another one.
_GRAVE = {"container": "files of this provider", "mcp_servers": "tools that the provider runs"}


def thinking_of(text: str, signature: str) -> Thinking:
    """A thinking block; one that another dialect signed is given back to it."""
    if not signature.startswith(FOREIGN):
        return Thinking(text=text, signature=signature, origin=DIALECT)
    origin, _, rest = signature[len(FOREIGN) :].partition(".")
    return Thinking(text=text, signature=rest, origin=origin)


def signed(thinking: Thinking) -> str:
    """The signature that a client of this dialect is given."""
    if thinking.origin == DIALECT:
        return thinking.signature
    return f"{FOREIGN}{thinking.origin}.{thinking.signature or thinking.data}"


_FOREIGN_MARK = f'"{FOREIGN}'.encode()
_SIGNATURE = b'"signature"'
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_messages_of = msgspec.json.Decoder(list[dict[str, Raw]]).decode


def own(body: bytes, takes: Takes = TAKES_ALL) -> bytes:
    """A request of this dialect without the thinking that its target does not take.

    Its provider would refuse the signature. Byte for byte as it came where there is none, and
    where it is not of the dialect, which is for its provider to say. Never raises.
    """
    if not _is_asked(body, takes):
        return body
    try:
        fields = _fields(body)
        messages = _messages_of(fields["messages"])
        cleared = [_cleared(message, takes) for message in messages]
    except (KeyError, *UNREADABLE):
        return body
    kept = [message for message in cleared if message]
    if all(one is other for one, other in zip(cleared, messages, strict=True)):
        return body
    if _wants_thoughts(fields, kept):
        del fields["thinking"]
    return _encode({**fields, "messages": kept})


def _is_asked(body: bytes, takes: Takes) -> bool:
    """Whether there may be such thinking: known at a glance, nearly always."""
    if takes.signed is not None:
        return body.rfind(b'thinking"') >= 0  # as below
    # From behind it is looked for in a third of the time, and 60 kB take a while.
    if body.rfind(_SIGNATURE) < 0:
        return False
    at = body.find(_SIGNATURE)
    while at >= 0:
        at += len(_SIGNATURE)
        value = body[at : at + 32].lstrip(b": \t\r\n")
        if value.startswith(_FOREIGN_MARK) or (value.startswith(b'""') and not takes.unsigned):
            return True
        at = body.find(_SIGNATURE, at)
    return False


def _wants_thoughts(fields: dict[str, Raw], messages: list[dict[str, Raw]]) -> bool:
    """Whether the provider would miss the thoughts before the calls that are answered now.

    It wants them where thinking is demanded, and not where it is the model's own choice.
    """
    if not fields.get("thinking") or len(messages) < 2:
        return False
    if msgspec.json.decode(fields["thinking"], type=_Signed).type != "enabled":
        return False
    called = bytes(messages[-2].get("content", b""))
    first = msgspec.json.decode(called, type=list[_Signed])[:1] if called[:1] == b"[" else []
    answers = b'"tool_result"' in bytes(messages[-1].get("content", b""))
    return answers and not any(block.type.endswith("thinking") for block in first)


def _cleared(message: dict[str, Raw], takes: Takes) -> dict[str, Raw]:
    """A message without such thinking; the very same where there is none; {} if nothing stays."""
    content = bytes(message.get("content", b""))
    if b'thinking"' not in content or not content.startswith(b"["):
        return message
    blocks = msgspec.json.decode(content, type=list[Raw])
    kept = [block for block in blocks if _is_taken(block, takes)]
    if len(kept) == len(blocks):
        return message
    return {**message, "content": Raw(_encode(kept))} if kept else {}


class _Signed(Struct):
    type: str = ""
    signature: str = ""
    data: str = ""


def _is_taken(block: Raw, takes: Takes) -> bool:
    if b'thinking"' not in bytes(block):
        return True
    try:
        found = msgspec.json.decode(block, type=_Signed)
    except UNREADABLE:
        return True
    if found.type not in ("thinking", "redacted_thinking"):
        return True
    signature = found.signature or found.data
    if not signature:
        return takes.unsigned
    return not signature.startswith(FOREIGN) and (takes.signed is None or takes.signed(signature))


# -------------------------------------------------------------------- reading


def read_ask(body: bytes) -> Ask:
    """The request in the neutral form. Raises BadFieldError, CannotCrossError."""
    fields = Fields(body)
    lost: list[Lost] = []
    for name in _SILENT:
        fields.raw(name)
    for name, why in _GRAVE.items():
        if fields.raw(name):
            lost.append(Lost(name, why, tolerable=False))
    system = fields.raw("system")
    turns = [_turn(message, lost) for message in fields.objects("messages")]
    if not turns:
        raise fields.refuse("messages", f"is missing or empty; {PATH}")
    if turns[-1].role == "assistant":
        raise CannotCrossError("messages: the conversation does not end with the user's words")
    reasoning, form = _thought(fields, lost)
    ask = Ask(
        system=_texts(system, "system", lost) if system else (),
        turns=tuple(turns),
        tools=_tools(fields, lost),
        tool_choice=_choice(fields, lost),
        sampling=Sampling(
            max_tokens=fields.count("max_tokens"),
            temperature=fields.number("temperature"),
            top_p=fields.number("top_p"),
            top_k=fields.count("top_k"),
            stop=fields.texts("stop_sequences"),
            stream=fields.flag("stream") or False,
        ),
        reasoning=reasoning,
        form=form,
        user=_user(fields, lost),
    )
    lost += fields.losses()
    return msgspec.structs.replace(ask, lost=tuple(lost)) if lost else ask


_ROLES: dict[str, Literal["user", "assistant", "system"]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}


def _turn(message: Fields, lost: list[Lost]) -> Turn:
    role = _ROLES.get(message.text("role") or "")
    if role is None:
        raise message.refuse("role", "is none of user, assistant and system")
    content = message.raw("content")
    where = message.name("content")
    if role == "system":
        parts: tuple[Part, ...] = _texts(content, where, lost)
    else:
        parts = _parts(content, where, lost)
    lost += message.losses()
    return Turn(role, parts)


def _string(json: bytes, where: str) -> str:
    try:
        return msgspec.json.decode(json, type=str)
    except ValueError:
        raise BadFieldError(f"{where} is not a text") from None


def _blocks(json: bytes, where: str) -> list[Fields]:
    if not json.startswith(b"["):
        raise BadFieldError(f"{where} is neither text nor a list of blocks")
    return Fields.listed(json, where)


def _texts(json: bytes, where: str, lost: list[Lost]) -> tuple[Text, ...]:
    if json.startswith(b'"'):
        text = _string(json, where)
        return (Text(text),) if text else ()
    found = []
    for block in _blocks(json, where):
        kind = block.text("type")
        if kind != "text":
            raise block.refuse("type", f"is {kind!r}, where only text can stand")
        found.append(_text(block))
        lost += block.losses()
    return tuple(found)


def _parts(json: bytes, where: str, lost: list[Lost]) -> tuple[Part, ...]:
    if json.startswith(b'"'):
        return (Text(_string(json, where)),)
    parts: list[Part] = []
    for block in _blocks(json, where):
        parts += _block(block, lost)
        lost += block.losses()
    return tuple(parts)


def _block(block: Fields, lost: list[Lost]) -> Iterable[Part]:
    kind = block.text("type")
    if kind is None:
        raise block.refuse("type", "is missing")
    if kind == "text":
        return (_text(block),)
    read = _READ.get(kind)
    if read is not None:
        return read(block, lost)
    if kind in _SERVER or kind.endswith("_tool_result"):
        lost.append(Lost(block.where, f"a {kind} of the provider's own tools"))
    else:
        lost.append(Lost(block.where, f"a {kind} has no word outside its dialect", tolerable=False))
    block.forget()
    return ()


def _text(block: Fields) -> Text:
    text = block.text("text")
    if text is None:
        raise block.refuse("text", "is missing")
    return Text(text, block.mapping("cache_control"))


def _image(block: Fields, lost: list[Lost]) -> Iterable[Part]:
    media, data, url, _ = _source(block, lost)
    yield Image(media_type=media, data=data, url=url, cache=block.mapping("cache_control"))


def _document(block: Fields, lost: list[Lost]) -> Iterable[Part]:
    media, data, url, text = _source(block, lost)
    context = block.text("context")
    if context:
        yield Text(context)
    yield Document(
        media_type=media,
        data=data,
        url=url,
        text=text,
        name=block.text("title") or "",
        cache=block.mapping("cache_control"),
    )


def _source(block: Fields, lost: list[Lost]) -> tuple[str, str, str, str]:
    """Media type, data, URL and text of what a block holds."""
    source = block.object("source")
    if source is None:
        raise block.refuse("source", "is missing")
    kind = source.text("type")
    media = source.text("media_type") or ""
    data, url, text = source.text("data") or "", source.text("url") or "", ""
    if kind == "text":
        data, text = "", data
    elif kind == "content":
        content = _parts(source.raw("content"), source.name("content"), lost)
        text = "\n\n".join(part.text for part in content if isinstance(part, Text))
    elif kind == "file":
        name = source.text("file_id")
        lost.append(Lost(source.where, f"the file {name} lies with its provider", tolerable=False))
    elif kind not in ("base64", "url"):
        raise source.refuse("type", f"is {kind!r}; base64, url, text, content and file are known")
    lost += source.losses()
    return media, data, url, text


def _search_result(block: Fields, lost: list[Lost]) -> Iterable[Part]:
    """What was found, as text with its title and place."""
    head = "\n".join(filter(None, (block.text("title"), block.text("source"))))
    content = block.raw("content")
    texts = _texts(content, block.name("content"), lost) if content else ()
    yield Text("\n".join((head, *(part.text for part in texts))), block.mapping("cache_control"))


def _tool_use(block: Fields, _: list[Lost]) -> Iterable[Part]:
    id_, name = block.text("id"), block.text("name")
    if not id_ or not name:
        raise block.refuse("id" if not id_ else "name", "is missing")
    given = block.raw("input") or b"{}"
    try:
        _object(given)
        arguments = given.decode()
    except (ValueError, RecursionError):
        raise block.refuse("input", "is not a JSON object") from None
    block.raw("caller")
    yield ToolCall(id_, name, arguments, block.mapping("cache_control"))


def _tool_result(block: Fields, lost: list[Lost]) -> Iterable[Part]:
    id_ = block.text("tool_use_id")
    if not id_:
        raise block.refuse("tool_use_id", "is missing")
    content = block.raw("content")
    parts = _parts(content, block.name("content"), lost) if content else ()
    yield ToolResult(
        id_,
        tuple(part for part in parts if isinstance(part, Text | Image | Document)),
        block.flag("is_error") or False,
        block.mapping("cache_control"),
    )


def _tool_reference(block: Fields, _: list[Lost]) -> Iterable[Part]:
    yield Text(f"tool: {block.text('tool_name') or ''}")


def _thinking(block: Fields, _: list[Lost]) -> Iterable[Part]:
    yield thinking_of(block.text("thinking") or "", block.text("signature") or "")


def _redacted(block: Fields, _: list[Lost]) -> Iterable[Part]:
    yield Thinking(data=block.text("data") or "", origin=DIALECT)


_READ = {
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "tool_reference": _tool_reference,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


def _tools(fields: Fields, lost: list[Lost]) -> tuple[Tool, ...]:
    tools = []
    for tool in fields.objects("tools"):
        kind = tool.text("type") or "custom"
        name = tool.text("name")
        if kind == "function":
            raise tool.refuse("type", f"is {kind!r}; {PATH}")
        if kind != "custom":
            grave = kind.startswith(_CLIENTS)
            why = f"{name or kind} is a tool of the provider's own"
            lost.append(Lost(tool.where, why, tolerable=not grave))
            continue
        if not name:
            raise tool.refuse("name", "is missing")
        schema = tool.mapping("input_schema")
        if not schema:
            raise tool.refuse("input_schema", "is missing")
        description = tool.text("description") or ""
        for how in ("eager_input_streaming", "allowed_callers", "defer_loading"):
            tool.raw(how)  # how it is called and loaded there, not what it is
        cache = tool.mapping("cache_control")
        tools.append(Tool(name, description, schema, tool.flag("strict"), cache=cache))
        lost += tool.losses()
    return tuple(tools)


_MODES: dict[str | None, Literal["auto", "any", "none"]] = {
    "auto": "auto",
    "any": "any",
    "none": "none",
}


def _choice(fields: Fields, lost: list[Lost]) -> ToolChoice | None:
    choice = fields.object("tool_choice")
    if choice is None:
        return None
    kind = choice.text("type")
    serial = choice.flag("disable_parallel_tool_use")
    parallel = None if serial is None else not serial
    name = choice.text("name") or ""
    lost += choice.losses()
    if kind == "tool":
        if not name:
            raise choice.refuse("name", "is missing")
        return ToolChoice("named", name, parallel)
    if kind in _MODES:
        return ToolChoice(_MODES[kind], parallel=parallel)
    raise choice.refuse("type", f"is {kind!r}; auto, any, tool and none are known")


def _thought(fields: Fields, lost: list[Lost]) -> tuple[Reasoning | None, Form | None]:
    """How much is thought, and in which form is answered."""
    form, effort = None, ""
    output = fields.object("output_config")
    asked = fields.object("output_format")  # its name while it was a beta
    if output is not None:
        effort = output.text("effort") or ""
        asked = output.object("format") or asked
        lost += output.losses()
    if asked is not None:
        kind = asked.text("type")
        if kind != "json_schema":
            raise asked.refuse("type", f"is {kind!r}; json_schema is known")
        form = Form("json_schema", asked.mapping("schema") or b"{}", strict=True)
        lost += asked.losses()
    thinking = fields.object("thinking")
    if thinking is None:
        return (Reasoning(effort=effort) if effort else None), form
    kind = thinking.text("type")
    budget = thinking.count("budget_tokens")
    thinking.raw("display")
    lost += thinking.losses()
    if kind == "disabled":
        return Reasoning("off", effort=effort), form
    if kind == "enabled":
        return Reasoning("on", budget, effort), form
    if kind in ("adaptive", "between_tools"):
        return Reasoning("auto", budget, effort), form
    raise thinking.refuse("type", f"is {kind!r}; adaptive, enabled and disabled are known")


def _user(fields: Fields, lost: list[Lost]) -> str:
    metadata = fields.object("metadata")
    if metadata is None:
        return ""
    user = metadata.text("user_id") or ""
    lost += metadata.losses()
    return user


# -------------------------------------------------------------------- writing


def write_ask(ask: Ask, model: str) -> Written:
    """The request for a Messages target. Raises CannotCrossError."""
    sampling = ask.sampling
    lost: list[Lost] = []
    if sampling.choices != 1:
        lost.append(Lost("n", "this dialect gives one answer", tolerable=False))
    if sampling.logprobs:
        lost.append(Lost("logprobs", "this dialect has none", tolerable=False))
    messages = _messages(ask, lost)
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": sampling.max_tokens or DEFAULT_MAX_TOKENS,
        "messages": messages,
    }
    system = [part for part in ask.system if part.text]
    if ask.form is not None and ask.form.kind == "json_object":
        lost.append(
            Lost("response_format", "the model is asked for JSON; nothing holds it to that")
        )
        system.append(Text(IN_JSON))
    if len(system) == 1 and not system[0].cache:
        body["system"] = system[0].text
    elif system:
        body["system"] = [_written(part, lost) for part in system]
    _write_tools(ask, body, lost)
    if sampling.stop:
        body["stop_sequences"] = [stop for stop in sampling.stop if stop.strip()]
        if len(body["stop_sequences"]) < len(sampling.stop):
            lost.append(Lost("stop", "this dialect takes no stop sequence of white space"))
    if ask.user:
        body["metadata"] = {"user_id": ask.user if len(ask.user) <= 256 else fitted(ask.user, 64)}
    if sampling.stream:
        body["stream"] = True
    thinks = _write_thinking(ask, body, lost)
    _write_drawing(sampling, body, lost, thinks=thinks)
    return Written(_encode(body), tuple(lost))


def _write_tools(ask: Ask, body: dict[str, Any], lost: list[Lost]) -> None:
    if not ask.tools:
        return
    body["tools"] = [_written_tool(tool) for tool in ask.tools]
    if not all(is_flat(tool.schema) for tool in ask.tools):
        lost.append(Lost("tools", LOOSER))
    if ask.tool_choice is not None:
        body["tool_choice"] = _written_choice(ask.tool_choice)


def _write_drawing(
    sampling: Sampling, body: dict[str, Any], lost: list[Lost], *, thinks: bool
) -> None:
    strange = ("seed", "frequency_penalty", "presence_penalty")
    lost += [Lost(name, "this dialect has none") for name in strange if getattr(sampling, name)]
    for name, value in (
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("top_k", sampling.top_k),
    ):
        if value is None:
            continue
        if thinks:
            lost.append(Lost(name, "cannot be set where the model thinks"))
        elif name == "temperature" and value > TEMPERATURE_MAX:
            lost.append(Lost(name, f"{value:g} was cut to {TEMPERATURE_MAX:g}, the highest here"))
            body[name] = TEMPERATURE_MAX
        else:
            body[name] = value


def _write_thinking(ask: Ask, body: dict[str, Any], lost: list[Lost]) -> bool:
    """How much is thought, and in which form is answered; whether the model will think."""
    config: dict[str, Any] = {}
    if ask.form is not None and ask.form.kind == "json_schema":
        schema, asked = enforceable(ask.form.schema)
        config["format"] = {"type": "json_schema", "schema": Raw(schema)}
        if asked:
            why = f"{', '.join(asked)}: asked for, but not enforced here"
            lost.append(Lost("response_format", why))
    reasoning, thinks = ask.reasoning, False
    effort = reasoning.effort if reasoning is not None else ""
    if effort:
        config["effort"] = "low" if effort == "minimal" else effort
    if reasoning is not None and reasoning.mode == "off":
        body["thinking"] = {"type": "disabled"}
    elif reasoning is not None:
        why = _why_thoughtless(ask, body["messages"])
        if why:
            lost.append(Lost("thinking", why))
        else:
            thinks = True
            longest = body["max_tokens"] - 1
            if reasoning.budget is not None and longest >= BUDGET_MIN:
                budget = min(max(reasoning.budget, BUDGET_MIN), longest)
                body["thinking"] = {"type": "enabled", "budget_tokens": budget}
            else:
                body["thinking"] = {"type": "adaptive"}
    if config:
        body["output_config"] = config
    return thinks


def _why_thoughtless(ask: Ask, messages: Sequence[dict[str, Any]]) -> str:
    """Why the model cannot think here, though it was asked to; "" where it can.

    A provider that thinks wants the thoughts back that led to a call, in its own signature.
    """
    choice = ask.tool_choice
    if ask.tools and choice is not None and choice.mode in ("any", "named"):
        return "a model that is made to call a tool cannot think here"
    last = next((m for m in reversed(messages) if m["role"] == "assistant"), None)
    results = messages[-1]["content"]
    waits = isinstance(results, list) and results[0].get("type") == "tool_result"
    if waits and last is not None and isinstance(last["content"], list):
        first = last["content"][0].get("type")
        if first not in ("thinking", "redacted_thinking"):
            return "the thoughts before the tool calls are not of this provider"
    return ""


def _messages(ask: Ask, lost: list[Lost]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for turn in _placed(ask.turns):
        blocks = [_written(part, lost) for part in turn.parts if not _is_empty(part, lost)]
        if not blocks:
            if turn.role == "user":
                raise CannotCrossError("this dialect takes no empty message")
            continue
        if messages and messages[-1]["role"] == turn.role == "user":
            before = messages[-1]["content"]
            # Results come first, whoever else said something in between.
            results = [block for block in blocks if block["type"] == "tool_result"]
            rest = [block for block in blocks if block["type"] != "tool_result"]
            at = next((n for n, b in enumerate(before) if b["type"] != "tool_result"), len(before))
            messages[-1]["content"] = [*before[:at], *results, *before[at:], *rest]
        else:
            messages.append({"role": turn.role, "content": blocks})
    if not messages or messages[0]["role"] != "user":
        messages.insert(0, {"role": "user", "content": [{"type": "text", "text": OPENING}]})
        lost.append(Lost("messages", "this dialect wants the user first; a line stands for it"))
    for message in messages:
        content = message["content"]
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            message["content"] = content[0]["text"]
    return messages


def _placed(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with the system's words behind a user's: this dialect takes them nowhere else."""
    found: list[Turn] = []
    waiting: list[Turn] = []
    for turn in turns:
        if turn.role == "system":
            waiting.append(turn)
            continue
        if turn.role == "assistant" and found and found[-1].role == "user":
            found += waiting
            waiting = []
        found.append(turn)
    return found + waiting


def _is_empty(part: Part, lost: list[Lost]) -> bool:
    """Whether nothing is to be said of it here."""
    if isinstance(part, Text | Refusal):
        return not part.text.strip()
    if isinstance(part, Thinking) and (part.origin != DIALECT or not (part.signature or part.data)):
        lost.append(Lost("thinking", "thoughts that this provider did not sign stay behind"))
        return True
    return False


def _written(part: Part, lost: list[Lost]) -> dict[str, Any]:
    block: dict[str, Any]
    if isinstance(part, Text | Refusal):
        block = {"type": "text", "text": part.text}
    elif isinstance(part, ToolCall):
        id_ = fitted(part.id, ID_CHARS_MAX)
        name = fitted(part.name, NAME_CHARS_MAX)
        block = {"type": "tool_use", "id": id_, "name": name, "input": Raw(part.arguments.encode())}
    elif isinstance(part, ToolResult):
        block = {"type": "tool_result", "tool_use_id": fitted(part.id, ID_CHARS_MAX)}
        said = [_written(one, lost) for one in part.parts if not _is_empty(one, lost)]
        if said:
            one = len(said) == 1 and said[0].keys() == {"type", "text"}
            block["content"] = said[0]["text"] if one else said
        if part.error:
            block["is_error"] = True
    elif isinstance(part, Thinking):
        block = (
            {"type": "redacted_thinking", "data": part.data}
            if part.data
            else {"type": "thinking", "thinking": part.text, "signature": part.signature}
        )
    else:
        if isinstance(part, Image) and part.detail:
            lost.append(Lost("detail", "this dialect looks at all pictures alike"))
        block = _written_file(part)
    cache = getattr(part, "cache", b"")
    if cache:
        block["cache_control"] = Raw(cache)
    return block


def _written_file(part: Image | Document) -> dict[str, Any]:
    kind = "image" if isinstance(part, Image) else "document"
    source: dict[str, Any]
    if part.url:
        source = {"type": "url", "url": part.url}
    elif isinstance(part, Document) and part.text:
        source = {"type": "text", "media_type": "text/plain", "data": part.text}
    else:
        media = picture(part.media_type) if isinstance(part, Image) else pdf(part)
        source = {"type": "base64", "media_type": media, "data": part.data}
    block = {"type": kind, "source": source}
    if isinstance(part, Document) and part.name:
        block["title"] = part.name
    return block


def _written_tool(tool: Tool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": fitted(tool.name, NAME_CHARS_MAX)}
    if tool.description:
        found["description"] = tool.description
    found["input_schema"] = Raw(flat(tool.schema))
    if tool.strict is not None:
        found["strict"] = tool.strict
    if tool.cache:
        found["cache_control"] = Raw(tool.cache)
    return found


def _written_choice(choice: ToolChoice) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "tool" if choice.mode == "named" else choice.mode}
    if choice.mode == "named":
        found["name"] = fitted(choice.name, NAME_CHARS_MAX)
    if choice.parallel is not None and choice.mode != "none":
        found["disable_parallel_tool_use"] = not choice.parallel
    return found
