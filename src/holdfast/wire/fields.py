"""The fields of a JSON object, taken one by one; what nobody took is known by its name.

A dialect reads a request through this, so that nothing in it is passed over in silence, whatever
is wrong has its name (`messages[3].content[1].text`), and JSON that nobody needs to understand
stays in its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Self

import msgspec
from msgspec import Raw

from holdfast.facts.losses import Lost
from holdfast.wire.speech import UNREADABLE, BadFieldError

NOTHING = (b"null", b"[]", b"{}", b'""')
_object = msgspec.json.Decoder(dict[str, Raw]).decode
_list = msgspec.json.Decoder(list[Raw]).decode
_objects = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_str: Callable[[Raw], str | None] = msgspec.json.Decoder(str | None).decode
_strs = msgspec.json.Decoder(list[str]).decode
_int = msgspec.json.Decoder(int).decode
_float = msgspec.json.Decoder(float).decode
_bool = msgspec.json.Decoder(bool).decode
_INTEGER_MAX = 2**53


class Fields:
    """One object at `where`. Every method that takes a field raises BadFieldError with its name;
    a field that is absent or null is None (bytes: b"").
    """

    __slots__ = ("_left", "where")

    def __init__(self, json: bytes | Raw | dict[str, Raw], where: str = "") -> None:
        """`json`: or what was taken apart already."""
        self.where = where
        try:
            self._left = json if isinstance(json, dict) else _object(json)
        except UNREADABLE:
            raise BadFieldError(f"{where or 'the body'} is not a JSON object") from None

    @classmethod
    def listed(cls, json: bytes | Raw, where: str) -> list[Self]:
        """The objects of a list at `where`. Raises BadFieldError."""
        try:
            found = _objects(json)
        except UNREADABLE:  # it is no list, or one of these no object
            try:
                items = _list(json)
            except UNREADABLE:
                raise BadFieldError(f"{where} is not a list of objects") from None
            return [cls(item, f"{where}[{number}]") for number, item in enumerate(items)]
        return [cls(fields, f"{where}[{number}]") for number, fields in enumerate(found)]

    def __contains__(self, field: str) -> bool:
        """Whether nobody took it yet."""
        return field in self._left

    @property
    def taken(self) -> bool:
        """Whether nothing is left."""
        return not self._left

    def name(self, field: str) -> str:
        """The field's name from the top of the body."""
        return f"{self.where}.{field}" if self.where else field

    def raw(self, field: str) -> bytes:
        """The bytes of the value."""
        found = self._left.pop(field, None)
        if found is None:
            return b""
        value = bytes(found)
        return b"" if value == b"null" else value

    def mapping(self, field: str) -> bytes:
        """The bytes of a value that must be an object, nobody here needs to know what of."""
        value = self.raw(field)
        if value and not value.startswith(b"{"):
            raise self.refuse(field, "is not a JSON object")
        return value

    def text(self, field: str) -> str | None:
        value = self._left.pop(field, None)
        if value is None:
            return None
        try:
            return _str(value)
        except UNREADABLE:
            raise BadFieldError(f"{self.name(field)} is not a text") from None

    def texts(self, field: str) -> tuple[str, ...]:
        value = self.raw(field)
        try:
            return tuple(_strs(value)) if value else ()
        except UNREADABLE:
            raise BadFieldError(f"{self.name(field)} is not a list of texts") from None

    def count(self, field: str) -> int | None:
        """A whole number that is not negative."""
        value = self.raw(field)
        if not value:
            return None
        try:
            found = _int(value)
        except UNREADABLE:
            raise BadFieldError(f"{self.name(field)} is not a whole number") from None
        if not 0 <= found <= _INTEGER_MAX:
            raise BadFieldError(f"{self.name(field)} is out of range")
        return found

    def number(self, field: str) -> float | None:
        value = self.raw(field)
        try:
            return _float(value) if value else None
        except UNREADABLE:
            raise BadFieldError(f"{self.name(field)} is not a number") from None

    def flag(self, field: str) -> bool | None:
        value = self.raw(field)
        try:
            return _bool(value) if value else None
        except UNREADABLE:
            raise BadFieldError(f"{self.name(field)} is neither true nor false") from None

    def object(self, field: str) -> Fields | None:
        value = self.raw(field)
        return Fields(value, self.name(field)) if value else None

    def objects(self, field: str) -> list[Fields]:
        """The objects of a list; none where it is absent."""
        value = self.raw(field)
        return Fields.listed(value, self.name(field)) if value else []

    def refuse(self, field: str, what: str) -> BadFieldError:
        """The error that says what this field must be."""
        return BadFieldError(f"{self.name(field)} {what}")

    def forget(self) -> None:
        """Take everything that is left: it was dealt with as a whole."""
        self._left = {}

    def held(self) -> list[str]:
        """The names, from the top of the body, of what nobody took, an empty object too."""
        return [self.name(field) for field, value in self._left.items() if bytes(value) != b"null"]

    def left(self) -> list[str]:
        """The names, from the top of the body, of what nobody took and is not empty."""
        if not self._left:
            return []
        return [
            self.name(field) for field, value in self._left.items() if bytes(value) not in NOTHING
        ]

    def losses(self, why: str = "it has no word outside its dialect") -> Iterable[Lost]:
        """What nobody took, as losses that can be borne."""
        return [Lost(name, why) for name in self.left()] if self._left else ()


def string(json: bytes, where: str) -> str:
    """The text at `where`. Raises BadFieldError."""
    try:
        return msgspec.json.decode(json, type=str)
    except UNREADABLE:
        raise BadFieldError(f"{where} is not a text") from None
