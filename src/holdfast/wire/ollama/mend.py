"""The mending of engines' and relays' lines of `/api/chat`: what the clients insist on.

Order is no matter here: any line may follow any other, up to the one that is `done`. Seen of
relays: arguments as the text of JSON where clients want an object, lines without a message, and
messages without a role.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from holdfast.wire.mended import patched
from holdfast.wire.speech import UNREADABLE
from holdfast.wire.sse import SseEvent

_NOTHING = (b"", b"null")


class _Function(Struct, frozen=True):
    arguments: Raw = Raw()


class _Call(Struct, frozen=True):
    function: _Function = _Function()


class _Message(Struct):
    role: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(Struct):
    message: _Message | None = None
    response: Raw = Raw()
    error: Raw = Raw()


_decode = msgspec.json.Decoder(_Line).decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_list = msgspec.json.Decoder(list[Raw]).decode
_string = msgspec.json.Decoder(str).decode


class Mender:
    """Follows one stream."""

    def mend(self, event: SseEvent) -> tuple[SseEvent, ...]:
        """See `speech.EventMender`."""
        try:
            line = _decode(event.data)
            # Those of `/api/generate` have no message.
            if bytes(line.error) not in _NOTHING or bytes(line.response) not in _NOTHING:
                return (event,)
            message = self._message(line.message, event.data)
            if not message:
                return (event,)
            json = patched(event.data, message=message)
        except UNREADABLE:
            return (event,)
        return (SseEvent(json + b"\n", b"", json),)

    def _message(self, message: _Message | None, data: bytes) -> dict[str, object] | None:
        """The message as it should be; None where it is."""
        if message is None:
            return {"role": "assistant", "content": ""}
        fields: dict[str, object] = {}
        if not message.role:
            fields["role"] = "assistant"
        calls = message.tool_calls or []
        if any(bytes(call.function.arguments).startswith(b'"') for call in calls):
            kept = _list(_fields(_fields(data)["message"])["tool_calls"])
            fields["tool_calls"] = [_called(*pair) for pair in zip(kept, calls, strict=True)]
        return {**_fields(_fields(data)["message"]), **fields} if fields else None


def _called(raw: Raw, call: _Call) -> Raw:
    """A call whose arguments are an object."""
    given = bytes(call.function.arguments)
    if not given.startswith(b'"'):
        return raw
    json = _string(given).strip().encode() or b"{}"
    _fields(json)  # what is no object stays as it came
    function = patched(_fields(raw)["function"], arguments=Raw(json.replace(b"\n", b" ")))
    return Raw(patched(raw, function=Raw(function)))
