"""Requests of Gemini's `generateContent` in the neutral form and back, after the documented API.

The model and whether it streams stand in the path and not in the body. Fields have two names,
`topP` and `top_p`, as in all JSON of protocol buffers; a list of one may stand without brackets.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

from holdfast.facts.losses import Lost
from holdfast.wire.fields import Fields
from holdfast.wire.files import PICTURES, document, pdf, picture
from holdfast.wire.fitting import fitted, lettered
from holdfast.wire.forms import IN_JSON
from holdfast.wire.gemini.parts import (
    DIALECT,
    ID_CHARS_MAX,
    NAME_CHARS_MAX,
    SEALED,
    UNSIGNED,
    Signing,
    standard,
    thought,
    unsealed,
)
from holdfast.wire.gemini.schema import camel, fits, is_empty, json_schema
from holdfast.wire.needs import is_marked
from holdfast.wire.speech import (
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

__all__ = ["DIALECT", "ID_CHARS_MAX", "NAME_CHARS_MAX", "own", "read_ask", "write_ask"]

STOP_SEQUENCES_MAX = 5
# Budgets of thinking for models that know no levels, after the provider's own table; and the
# levels up to these budgets, for models that know no budgets.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192}
_BUDGET_MAX = 24_576
_LEVELS = ((2048, "low"), (8192, "medium"))
LEVELS_SINCE = 3.0
# Fields without which the answer would be another one.
_GRAVE = {"cachedContent": "a cache lies with its provider"}
_GRAVE_DRAWING = {
    "speechConfig": "it has no word outside its dialect",
    "imageConfig": "it has no word outside its dialect",
}
# What the provider does by itself between two turns: its words say what came of it.
_SERVER = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
# A tool of the provider's that the client runs, and waits for.
_CLIENTS_OWN = "computerUse"
_MODES = {
    "AUTO": ToolChoice("auto"),
    "ANY": ToolChoice("any"),
    "NONE": ToolChoice("none"),
    "VALIDATED": ToolChoice("auto"),
    "MODE_UNSPECIFIED": ToolChoice("auto"),
}
_SEEDS = 2**31
_PICTURES = PICTURES - {"image/gif"} | {"image/heic", "image/heif"}
_PROVIDERS_FILE = re.compile(r"gs://|https?://[^/]+/v\d[^/]*/files/|files/")
_GENERATION = re.compile(r"(?<![\d.])(\d{1,2}(?:\.\d{1,2})?)(?![\d.])")
_encode = msgspec.json.encode
_object = msgspec.json.Decoder(dict[str, Raw]).decode
_list = msgspec.json.Decoder(list[Raw]).decode
_SEALED_MARK = SEALED.encode()


class _Proto(Fields):
    """An object of protocol buffers' JSON."""

    __slots__ = ()

    def __init__(self, json: bytes | Raw | dict[str, Raw], where: str = "") -> None:
        super().__init__(json, where)
        if "_" in "".join(self._left):
            self._left = {camel(name): value for name, value in self._left.items()}

    def object(self, field: str) -> _Proto | None:
        value = self.raw(field)
        return _Proto(value, self.name(field)) if value else None

    def several(self, field: str) -> list[_Proto]:
        """The objects of a list, or the only one without brackets; none where it is absent."""
        value, where = self.raw(field), self.name(field)
        if not value:
            return []
        if value.startswith(b"{"):
            return [_Proto(value, where)]
        return _Proto.listed(value, where)

    def whole(self, field: str, *, least: int = 0) -> int | None:
        """A whole number; this dialect takes `40.0` and `"40"` for one."""
        value = self.raw(field)
        if not value:
            return None
        try:
            found = float(value.strip(b'"'))
        except ValueError:
            raise self.refuse(field, "is not a whole number") from None
        if not found.is_integer():
            raise self.refuse(field, "is not a whole number")
        if not least <= found <= 2**53:
            raise self.refuse(field, "is out of range")
        return int(found)


# -------------------------------------------------------------------- reading


def read_ask(body: bytes) -> Ask:
    """The request in the neutral form. Raises BadFieldError, CannotCrossError.

    A question for the number of tokens is one too, in either of its shapes.
    """
    fields = _Proto(body)
    fields = fields.object("generateContentRequest") or fields
    lost: list[Lost] = []
    fields.raw("model")
    for name, why in _GRAVE.items():
        if fields.raw(name):
            lost.append(Lost(fields.name(name), why, tolerable=False))
    system = _system(fields, lost)
    turns = _turns(fields, lost)
    tools = _tools(fields, lost)
    choice, allowed = _choice(fields, lost)
    if allowed is not None:
        tools = tuple(tool for tool in tools if tool.name in allowed)
    drawing = fields.object("generationConfig") or _Proto(b"{}", "generationConfig")
    ask = Ask(
        system=system,
        turns=turns,
        tools=tools,
        tool_choice=choice,
        sampling=_sampling(drawing),
        reasoning=_reasoning(drawing, lost),
        form=_form(drawing, lost),
    )
    _check_modalities(drawing, lost)
    for name, why in _GRAVE_DRAWING.items():
        if drawing.raw(name):
            lost.append(Lost(drawing.name(name), why, tolerable=False))
    lost += drawing.losses()
    lost += fields.losses()
    return msgspec.structs.replace(ask, lost=tuple(lost)) if lost else ask


def _system(fields: _Proto, lost: list[Lost]) -> tuple[Text, ...]:
    value = fields.raw("systemInstruction")
    where = fields.name("systemInstruction")
    if not value:
        return ()
    if value.startswith(b'"'):
        return (Text(msgspec.json.decode(value, type=str)),)
    content = _Proto(value, where)
    content.raw("role")
    texts = []
    for part in content.several("parts"):
        text = part.text("text")
        if text is None:
            raise part.refuse("text", "is missing, where only text can stand")
        if text:
            texts.append(Text(text))
        lost += part.losses()
    lost += content.losses()
    return tuple(texts)


class _Calls:
    """Calls often come without ids, and results name their tool: who answers whom."""

    __slots__ = ("_count", "waiting")

    def __init__(self) -> None:
        self.waiting: list[tuple[str, str]] = []  # the ids and names of the turn before
        self._count = 0

    def call(self, id_: str, name: str) -> str:
        self._count += 1
        id_ = id_ or f"call_{self._count}"
        self.waiting.append((id_, name))
        return id_

    def answered(self, id_: str, name: str, where: str) -> str:
        """The id of the call that this result is for. Raises BadFieldError where there is none."""
        found = next((n for n, call in enumerate(self.waiting) if id_ and call[0] == id_), None)
        if found is None:
            found = next((n for n, call in enumerate(self.waiting) if call[1] == name), None)
        if found is None:
            raise BadFieldError(
                f"{where}.name is {name[:80]!r}, which the turn before it did not call"
            )
        return self.waiting.pop(found)[0]


def _turns(fields: _Proto, lost: list[Lost]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    calls = _Calls()
    for content in fields.several("contents"):
        role = content.text("role") or "user"
        if role not in ("user", "model", "function"):
            raise content.refuse("role", f"is {role!r}; user and model are known")
        parts = content.several("parts")
        if not parts:
            raise content.refuse("parts", "is missing or empty")
        if role == "model":
            goes_on = bool(turns) and turns[-1].role == "assistant"
            if calls.waiting and not goes_on:
                name = calls.waiting[0][1]
                raise content.refuse("parts", f"follow the call of {name[:80]!r}: it has no result")
            said = [one for part in parts for one in _part(part, lost, calls)]
            if goes_on:  # clients keep each chunk of a stream
                said = [*turns.pop().parts, *said]
            turns.append(Turn("assistant", _joined(said)))
        else:
            found = [one for part in parts for one in _part(part, lost, calls)]
            found.sort(key=lambda part: not isinstance(part, ToolResult))
            turns.append(Turn("user", tuple(found)))
        lost += content.losses()
    if not turns:
        raise fields.refuse("contents", "is missing or empty; this path takes Gemini's requests")
    if turns[-1].role == "assistant":
        raise CannotCrossError("contents: the conversation does not end with the user's words")
    if calls.waiting:
        raise fields.refuse("contents", f"has no result of the call {calls.waiting[0][1][:80]!r}")
    return tuple(turns)


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """What a model said, its text going on from part to part.

    A seal holds what was shown before it as a thought of nobody's.
    """
    sealed = any(isinstance(part, Thinking) and part.origin != DIALECT for part in parts)
    found: list[Part] = []
    for part in parts:
        if part == Text("") or (sealed and _is_shown(part)):
            continue
        if isinstance(part, Text) and found and isinstance(found[-1], Text):
            found[-1] = Text(found[-1].text + part.text)
        else:
            found.append(part)
    return tuple(found)


def _is_shown(part: Part) -> bool:
    return isinstance(part, Thinking) and part.origin == DIALECT and not part.signature


def _part(part: _Proto, lost: list[Lost], calls: _Calls) -> Iterator[Part]:
    text = part.text("text")
    if text is not None and part.taken:  # mostly there is nothing else
        yield Text(text)
        return
    signature = part.text("thoughtSignature") or ""
    part.raw("partMetadata")
    before = unsealed(signature) if signature else ()
    if part.flag("thought"):
        if text and not any(one.origin != DIALECT for one in before):
            sign = before[0].signature if before else ""
            before = (Thinking(text=text, signature=sign, origin=DIALECT),)
        yield from before
    elif text is not None:
        yield from before
        yield Text(text)
        _check_alone(part)
    else:
        yield from before
        yield from _shown(part, lost, calls, signs=bool(signature))
    lost += part.losses()


_HOLDING = ("inlineData", "fileData", "functionCall", "functionResponse", *_SERVER)


def _check_alone(part: _Proto) -> None:
    """A part holds one thing. Raises BadFieldError where more is said in it."""
    left = part.held()
    more = next((name for name in _HOLDING if part.name(name) in left), None) if left else None
    if more is not None:
        raise part.refuse(more, "stands beside other content; a part holds one thing")


def _shown(part: _Proto, lost: list[Lost], calls: _Calls, *, signs: bool) -> Iterator[Part]:
    """What a part holds that is no text."""
    for name, read in _READ.items():
        held = part.object(name) if name in part else None
        if held is not None:
            yield from read(held, lost, calls)
            lost += held.losses()
            _check_alone(part)
            return
    for name in _SERVER:
        if part.raw(name):
            lost.append(Lost(part.name(name), "a step of the provider's own tools"))
            return
    left = part.left() or ([] if signs else part.held())
    if left:
        lost.append(Lost(left[0], "it has no word outside its dialect", tolerable=False))
        part.forget()
    elif not signs:
        known = ", ".join(("text", *_READ))
        raise BadFieldError(f"{part.where} holds nothing; {known} are known")


def _inline(blob: _Proto, lost: list[Lost], _: _Calls) -> Iterator[Part]:
    media = (blob.text("mimeType") or "").lower()
    data, name = standard(blob.text("data") or ""), blob.text("displayName") or ""
    if not media or not data:
        raise blob.refuse("data" if media else "mimeType", "is missing")
    if media.startswith("image/"):
        yield Image(media_type=media, data=data)
    elif media.startswith(("audio/", "video/")):
        lost.append(Lost(blob.where, f"{media} has no word outside its dialect", tolerable=False))
    else:
        found = document(media, data, name)
        if media.startswith("text/") and not found.text:
            raise blob.refuse("data", "is not base64 of a text")
        yield found


def _file(file: _Proto, lost: list[Lost], _: _Calls) -> Iterator[Part]:
    media, url = (file.text("mimeType") or "").lower(), file.text("fileUri") or ""
    name = file.text("displayName") or ""
    if not url:
        raise file.refuse("fileUri", "is missing")
    if _PROVIDERS_FILE.match(url):
        lost.append(Lost(file.where, "a file that lies with its provider", tolerable=False))
        return
    media = media or _media_of(url)
    if not media or media.startswith(("audio/", "video/")):
        what = media or "a file whose kind is not said"
        lost.append(Lost(file.where, f"{what} has no word outside its dialect", tolerable=False))
    elif media.startswith("image/"):
        yield Image(url=url)
    else:
        yield Document(media_type=media, url=url, name=name)


_MEDIA = {
    "gif": "image/gif",
    "heic": "image/heic",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "png": "image/png",
    "wav": "audio/wav",
    "webp": "image/webp",
}


def _media_of(url: str) -> str:
    """What an address seems to hold, by its ending."""
    return _MEDIA.get(url.partition("?")[0].rpartition(".")[2].lower(), "")


def _call(call: _Proto, lost: list[Lost], calls: _Calls) -> Iterator[Part]:
    del lost
    id_, name = call.text("id") or "", call.text("name")
    if not name:
        raise call.refuse("name", "is missing")
    args = call.raw("args") or b"{}"
    try:
        _object(args)
        arguments = args.decode()
    except UNREADABLE:
        raise call.refuse("args", "is not a JSON object") from None
    yield ToolCall(calls.call(id_, name), name, arguments)


def _result(result: _Proto, lost: list[Lost], calls: _Calls) -> Iterator[Part]:
    name = result.text("name") or ""
    id_ = calls.answered(result.text("id") or "", name, result.where)
    for how in ("willContinue", "scheduling"):
        result.raw(how)
    text, error = _told(result)
    parts: list[Text | Image | Document] = [Text(text)] if text else []
    for part in result.several("parts"):
        parts += (
            one
            for one in _shown(part, lost, calls, signs=False)
            if isinstance(one, Image | Document)
        )
    yield ToolResult(id_, tuple(parts), error)


def _told(result: _Proto) -> tuple[str, bool]:
    """What a tool said, and whether it failed: `output` and `error` are the documented names."""
    raw = result.raw("response")
    if not raw:
        return "", False
    try:
        fields = _object(raw)
    except UNREADABLE:
        raise result.refuse("response", "is not a JSON object") from None
    if len(fields) == 1:
        name, value = next(iter(fields.items()))
        if name in ("output", "result", "error"):
            text = bytes(value)
            if text.startswith(b'"'):
                return msgspec.json.decode(text, type=str), name == "error"
            return text.decode(), name == "error"
    return raw.decode(), False


_READ = {
    "inlineData": _inline,
    "fileData": _file,
    "functionCall": _call,
    "functionResponse": _result,
}


def _tools(fields: _Proto, lost: list[Lost]) -> tuple[Tool, ...]:
    tools = []
    for tool in fields.several("tools"):
        for declared in tool.several("functionDeclarations"):
            tools.append(_tool(declared))
            lost += declared.losses()
        for name in tool.held():
            grave = name.endswith(_CLIENTS_OWN)
            lost.append(Lost(name, "a tool of the provider's own", tolerable=not grave))
    return tuple(tools)


# It comes again with every turn of a conversation.
_tool_schema = lru_cache(512)(json_schema)


def _tool(declared: _Proto) -> Tool:
    name = declared.text("name")
    if not name:
        raise declared.refuse("name", "is missing")
    description = declared.text("description") or ""
    older, newer = declared.raw("parameters"), declared.raw("parametersJsonSchema")
    for said in ("response", "responseJsonSchema", "behavior"):
        declared.raw(said)  # what it gives, and when: its results say so themselves
    if newer:
        if not newer.startswith(b"{"):
            raise declared.refuse("parametersJsonSchema", "is not a JSON object")
        return Tool(name, description, newer)
    if older:
        return Tool(name, description, _tool_schema(older, declared.name("parameters")))
    return Tool(name, description)


def _choice(fields: _Proto, lost: list[Lost]) -> tuple[ToolChoice | None, frozenset[str] | None]:
    """How tools are chosen, and the names of those that may be, where that is said."""
    config = fields.object("toolConfig")
    if config is None:
        return None, None
    calling = config.object("functionCallingConfig")
    lost += config.losses()
    if calling is None:
        return None, None
    said = (calling.text("mode") or "AUTO").upper()
    names = calling.texts("allowedFunctionNames")
    lost += calling.losses()
    if said not in _MODES:
        raise calling.refuse("mode", f"is {said!r}; {', '.join(_MODES)} are known")
    if said == "ANY" and len(names) == 1:
        return ToolChoice("named", names[0]), None
    return _MODES[said], frozenset(names) if names else None


def _sampling(drawing: _Proto) -> Sampling:
    choices = drawing.whole("candidateCount", least=1)
    return Sampling(
        max_tokens=drawing.whole("maxOutputTokens"),
        temperature=drawing.number("temperature"),
        top_p=drawing.number("topP"),
        top_k=drawing.whole("topK"),
        seed=drawing.whole("seed", least=-(2**31)),
        frequency_penalty=drawing.number("frequencyPenalty"),
        presence_penalty=drawing.number("presencePenalty"),
        stop=drawing.texts("stopSequences"),
        choices=1 if choices is None else choices,
        logprobs=drawing.flag("responseLogprobs") or False,
        top_logprobs=drawing.whole("logprobs"),
    )


def _reasoning(drawing: _Proto, lost: list[Lost]) -> Reasoning | None:
    thinking = drawing.object("thinkingConfig")
    if thinking is None:
        return None
    shown = thinking.flag("includeThoughts")
    budget = thinking.whole("thinkingBudget", least=-1)
    level = (thinking.text("thinkingLevel") or "").lower()
    lost += thinking.losses()
    if level in ("", "thinking_level_unspecified"):
        if budget is None or budget < 0:
            return Reasoning("auto") if shown or budget is not None else None
        return Reasoning("on", budget) if budget else Reasoning("off")
    if level not in ("minimal", "low", "medium", "high"):
        raise thinking.refuse("thinkingLevel", f"is {level!r}; minimal to high are known")
    return Reasoning("on", effort=level)


def shows_thoughts(asked: bytes) -> bool:
    """Whether a request asks to see them: programs that do not join the texts of all parts."""
    try:
        drawing = _Proto(asked).object("generationConfig")
        thinking = drawing and drawing.object("thinkingConfig")
        return bool(thinking and thinking.flag("includeThoughts"))
    except (CannotCrossError, *UNREADABLE):
        return True


def _form(drawing: _Proto, lost: list[Lost]) -> Form | None:
    media = (drawing.text("responseMimeType") or "text/plain").lower()
    older = drawing.raw("responseSchema")
    newer = drawing.raw("responseJsonSchema") or drawing.raw("ResponseJsonSchema")
    where = drawing.name("responseMimeType")
    if media == "text/x.enum":
        lost.append(
            Lost(where, "an answer out of a list of words is JSON elsewhere", tolerable=False)
        )
    elif media not in ("text/plain", "application/json"):
        raise drawing.refuse("responseMimeType", f"is {media!r}; application/json is known")
    if newer:
        return Form("json_schema", newer, strict=True)
    if older:
        return Form("json_schema", json_schema(older, drawing.name("responseSchema")), strict=True)
    return Form("json_object") if media == "application/json" else None


def _check_modalities(drawing: _Proto, lost: list[Lost]) -> None:
    wanted = [modality.upper() for modality in drawing.texts("responseModalities")]
    if wanted not in ([], ["TEXT"]):
        where = drawing.name("responseModalities")
        lost.append(Lost(where, "other dialects answer in words", tolerable=False))


# -------------------------------------------------------------------- passing


def own(body: bytes, takes: Takes = TAKES_ALL) -> bytes:
    """A request of this dialect without the thoughts that its target does not take.

    Their calls are marked as made elsewhere. Byte for byte as it came where there are none, and
    where it is not of the dialect, which is for its provider to say. Never raises.
    """
    # From behind it is looked for in a third of the time, and 60 kB take a while.
    if body.rfind(_SEALED_MARK) < 0 and takes.signed is None:
        return body
    try:
        fields = _object(body)
        contents = _list(fields["contents"])
        cleared = [_cleared(content, takes) for content in contents]
    except (KeyError, *UNREADABLE):
        return body
    if all(one is other for one, other in zip(cleared, contents, strict=True)):
        return body
    return _encode({**fields, "contents": cleared})


def _cleared(content: Raw, takes: Takes) -> Raw:
    """A turn without such thoughts; the very same where there are none."""
    fields = _object(content)
    if "parts" not in fields:
        return content
    parts = _list(fields["parts"])
    owned = [_owned(part, takes) for part in parts]
    if all(one is other for one, other in zip(owned, parts, strict=True)):
        return content
    kept = [part for part in owned if part is not None]
    return Raw(_encode({**fields, "parts": kept or [{"text": ""}]}))


def _owned(part: Raw, takes: Takes) -> Raw | None:
    """The part without a foreign seal; None where nothing else is in it."""
    fields = _object(part)
    name = next((name for name in fields if camel(name) == "thoughtSignature"), "")
    if not name or _is_taken(fields[name], takes):
        return part
    del fields[name]
    if "functionCall" in fields or "function_call" in fields:
        fields[name] = Raw(_encode(UNSIGNED))
    elif fields.keys() <= {"text", "thought"} and bytes(fields.get("text", Raw(b'""'))) == b'""':
        return None
    return Raw(_encode(fields))


def _is_taken(seal: Raw, takes: Takes) -> bool:
    signature = msgspec.json.decode(seal, type=str)
    if signature.startswith(SEALED):
        return False
    return takes.signed is None or signature == UNSIGNED or takes.signed(signature)


# -------------------------------------------------------------------- writing


def write_ask(ask: Ask, model: str) -> Written:
    """The request for a target of this dialect. Raises CannotCrossError."""
    lost: list[Lost] = []
    body: dict[str, Any] = {"contents": _contents(ask, model, lost)}
    system = [{"text": part.text} for part in ask.system if part.text]
    if system:
        body["systemInstruction"] = {"parts": system}
    _write_tools(ask, body, lost)
    drawing = _drawing(ask.sampling, lost)
    _write_form(ask, model, body, drawing, lost)
    _write_thinking(ask.reasoning, model, drawing)
    if drawing:
        body["generationConfig"] = drawing
    if ask.user:
        lost.append(Lost("user", "this dialect has no word for who asks"))
    if is_marked(ask):
        lost.append(Lost("cache_control", "targets of this dialect cache by themselves"))
    return Written(_encode(body), tuple(lost))


def _drawing(sampling: Sampling, lost: list[Lost]) -> dict[str, Any]:
    stops = [stop for stop in sampling.stop if stop]
    if len(stops) > STOP_SEQUENCES_MAX:
        raise CannotCrossError(f"this dialect takes {STOP_SEQUENCES_MAX} stop sequences at most")
    seed = sampling.seed
    if seed is not None and not -_SEEDS <= seed < _SEEDS:
        lost.append(Lost("seed", "it has more than the 32 bits of this dialect"))
        seed = None
    said = {
        "maxOutputTokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "seed": seed,
        "frequencyPenalty": sampling.frequency_penalty,
        "presencePenalty": sampling.presence_penalty,
        "stopSequences": stops or None,
        "candidateCount": None if sampling.choices == 1 else sampling.choices,
        "responseLogprobs": sampling.logprobs or None,
        "logprobs": sampling.top_logprobs,
    }
    return {name: value for name, value in said.items() if value is not None}


def _write_form(
    ask: Ask, model: str, body: dict[str, Any], drawing: dict[str, Any], lost: list[Lost]
) -> None:
    """The form of the answer. Older models take none beside tools: they are asked in words."""
    form, generation = ask.form, generation_of(model)
    if form is None:
        return
    if ask.tools and generation is not None and generation < LEVELS_SINCE:
        lost.append(Lost("response_format", "this model is held to no form where it has tools"))
        words = (
            f"{IN_JSON} It follows this schema: {form.schema.decode()}" if form.schema else IN_JSON
        )
        system = body.setdefault("systemInstruction", {"parts": []})
        system["parts"].append({"text": words})
        return
    drawing["responseMimeType"] = "application/json"
    if form.kind == "json_schema":
        name = "responseSchema" if fits(form.schema) else "responseJsonSchema"
        drawing[name] = Raw(form.schema)


def _write_thinking(reasoning: Reasoning | None, model: str, drawing: dict[str, Any]) -> None:
    """Older models take budgets and no levels, newer ones levels and, in time, no budgets."""
    if reasoning is None:
        return
    if reasoning.mode == "off":
        drawing["thinkingConfig"] = {"thinkingBudget": 0}
        return
    config: dict[str, Any] = {"includeThoughts": True}
    generation = generation_of(model)
    budget, effort = reasoning.budget, reasoning.effort
    by_level = bool(effort) if generation is None else generation >= LEVELS_SINCE
    if by_level and (effort or budget is not None):
        level = effort or next((name for most, name in _LEVELS if (budget or 0) <= most), "high")
        config["thinkingLevel"] = level if level in _BUDGETS else "high"
    elif budget is not None:
        config["thinkingBudget"] = budget
    elif effort:
        config["thinkingBudget"] = _BUDGETS.get(effort, _BUDGET_MAX)
    drawing["thinkingConfig"] = config


def generation_of(model: str) -> float | None:
    """The first number in a model's name, which is its generation here; None without one."""
    found = _GENERATION.search(model)
    return float(found[1]) if found else None


def _write_tools(ask: Ask, body: dict[str, Any], lost: list[Lost]) -> None:
    if not ask.tools:
        return
    body["tools"] = [{"functionDeclarations": [_written_tool(tool) for tool in ask.tools]}]
    if any(tool.strict for tool in ask.tools):
        lost.append(Lost("strict", "this dialect has none for its tools"))
    choice = ask.tool_choice
    if choice is None:
        return
    if choice.parallel is False and choice.mode != "none":
        lost.append(Lost("parallel_tool_calls", "this dialect cannot forbid several calls at once"))
    calling: dict[str, Any] = {"mode": "ANY" if choice.mode == "named" else choice.mode.upper()}
    if choice.mode == "named":
        calling["allowedFunctionNames"] = [lettered(choice.name, NAME_CHARS_MAX)]
    body["toolConfig"] = {"functionCallingConfig": calling}


def _written_tool(tool: Tool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": lettered(tool.name, NAME_CHARS_MAX)}
    if tool.description:
        found["description"] = tool.description
    if not is_empty(tool.schema):
        found["parameters" if fits(tool.schema) else "parametersJsonSchema"] = Raw(tool.schema)
    return found


def _contents(ask: Ask, model: str, lost: list[Lost]) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}  # of the calls, which their results must name too
    generation = generation_of(model)
    insists = generation is None or generation >= LEVELS_SINCE
    for turn in ask.turns:
        if turn.role == "assistant":
            names |= {part.id: part.name for part in turn.parts if isinstance(part, ToolCall)}
            parts = _written_said(turn, lost, insists=insists)
            if parts:
                contents.append({"role": "model", "parts": parts})
            continue
        if turn.role == "system":
            why = (
                "this dialect has no system's words in mid-conversation; they are said as a user's"
            )
            lost.append(Lost("system", why))
        parts = _written_turn(turn, names, lost)
        if not parts and turn.role == "user":
            raise CannotCrossError("this dialect takes no empty message")
        if contents and contents[-1]["role"] == "user":
            both = [*contents[-1]["parts"], *parts]
            both.sort(key=lambda part: "functionResponse" not in part)
            contents[-1]["parts"] = both
        elif parts:
            contents.append({"role": "user", "parts": parts})
    if not contents or contents[-1]["role"] == "model":
        raise CannotCrossError("contents: the conversation does not end with the user's words")
    return contents


def _written_said(turn: Turn, lost: list[Lost], *, insists: bool) -> list[dict[str, Any]]:
    """What a model said. `insists`: the first call of a turn must be signed, or marked."""
    parts: list[dict[str, Any]] = []
    signing = Signing(marks=insists)
    for part in turn.parts:
        if isinstance(part, Thinking):
            if part.origin != DIALECT:
                lost.append(Lost("thinking", "thoughts that another provider signed stay behind"))
                continue
            if signing.due and part.signature:
                parts.append(signing.signed({"text": ""}))
            if part.text:
                parts.append(thought(part.text))
            signing.think(part)
        elif isinstance(part, ToolCall):
            parts.append(signing.call(part))
        elif isinstance(part, Text | Refusal):
            if part.text:
                parts.append(signing.signed({"text": part.text}))
        else:
            raise CannotCrossError(f"contents: a {type(part).__name__} where the model speaks")
    if signing.due:
        parts.append(signing.signed({"text": ""}))
    return parts


def _written_turn(turn: Turn, names: dict[str, str], lost: list[Lost]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            name = lettered(names.get(part.id, ""), NAME_CHARS_MAX)
            id_ = fitted(part.id, ID_CHARS_MAX)
            results.append(
                {"functionResponse": {"id": id_, "name": name, "response": _given(part)}}
            )
            shown = [one for one in part.parts if not isinstance(one, Text)]
            if shown:  # not all models take what is shown within a result
                rest.append({"text": f"(shown by the tool call {id_})"})
            rest += [_file_part(one, lost) for one in shown]
        elif isinstance(part, Text | Refusal):
            if part.text:
                rest.append({"text": part.text})
        elif isinstance(part, Image | Document):
            rest.append(_file_part(part, lost))
        else:
            raise CannotCrossError(f"contents: a {type(part).__name__} where people speak")
    return results + rest


def _given(result: ToolResult) -> dict[str, str]:
    text = "\n\n".join(part.text for part in result.parts if isinstance(part, Text))
    return {"error" if result.error else "output": text}


def _file_part(part: Image | Document, lost: list[Lost]) -> dict[str, Any]:
    if isinstance(part, Document) and part.name:
        lost.append(Lost("document", "a document has no name in this dialect"))
    if part.url:
        usual = "image/jpeg" if isinstance(part, Image) else "application/pdf"
        media = part.media_type or _media_of(part.url) or usual
        return {"fileData": {"mimeType": media, "fileUri": part.url}}
    media, data = part.media_type, part.data
    if isinstance(part, Document) and part.text:
        media = media if media.startswith("text/") else "text/plain"
        data = base64.b64encode(part.text.encode()).decode()
    elif isinstance(part, Document):
        media = pdf(part)
    else:
        media = picture(media, _PICTURES)
    return {"inlineData": {"mimeType": media, "data": data}}
