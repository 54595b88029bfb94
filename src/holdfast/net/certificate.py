"""Who signed a certificate that nobody verified: a strict walk over its DER, and no more.

Python's ssl parses only certificates that it has verified; the ladder wants to say who signed one
that it has not. The walk follows RFC 5280, 4.1 (structure), X.690, 8 and 10 (DER) and reads the
issuer's, the subject's and the alternative names. It trusts nothing: it never reads beyond its
bounds and recurses nowhere. See docs/decisions/0005-certificates-read-by-hand.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from msgspec import Struct

DER_MAX = 65_536
NAMES_MAX = 16
TEXT_MAX = 128

_SEQUENCE, _SET, _OID, _OCTETS, _INTEGER = 0x30, 0x31, 0x06, 0x04, 0x02
_VERSION, _EXTENSIONS = 0xA0, 0xA3  # [0] and [3] of TBSCertificate
_DNS, _IP = 0x82, 0x87  # [2] and [7] of GeneralName
_COMMON_NAME = bytes.fromhex("550403")
_ORGANISATION = bytes.fromhex("55040a")
_ALT_NAMES = bytes.fromhex("551d11")
_TEXTS = {
    0x0C: "utf-8",  # UTF8String
    0x13: "latin-1",  # PrintableString
    0x14: "latin-1",  # T61String, as everybody reads it
    0x16: "latin-1",  # IA5String
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}

Item = tuple[int, bytes]  # tag and content


class Shown(Struct, frozen=True):
    """What a certificate says of itself, unverified. Texts are bounded and printable.

    `issuer` and `subject` are the organisation, or else the common name; `names` are the hosts
    and addresses it is for, sorted (the first few).
    """

    issuer: str
    subject: str
    names: tuple[str, ...]


def read(der: bytes) -> Shown:
    """Read one X.509 certificate in DER. Raises ValueError for anything else."""
    if len(der) > DER_MAX:
        raise ValueError(f"a certificate beyond {DER_MAX // 1024} kB")
    (outer,) = _exactly(_items(der), 1)
    signed, _, _ = _exactly(_items(_content(outer, _SEQUENCE)), 3)
    fields = list(_items(_content(signed, _SEQUENCE)))
    if fields and fields[0][0] == _VERSION:
        del fields[0]
    if len(fields) < 6:
        raise ValueError("a certificate with too few fields")
    _content(fields[0], _INTEGER)
    issuer, subject = (_name(_content(fields[at], _SEQUENCE)) for at in (2, 4))
    found = [field for tag, field in fields[6:] if tag == _EXTENSIONS]
    return Shown(issuer, subject, _alt_names(found[0]) if found else ())


def _items(data: bytes) -> Iterator[Item]:
    """The elements of DER side by side: low tags, definite lengths in their shortest form."""
    at = 0
    while at < len(data):
        tag = data[at]
        if tag & 0x1F == 0x1F or at + 2 > len(data):
            raise ValueError("DER with a long tag, or cut short")
        size, start = data[at + 1], at + 2
        if size >= 0x80:
            count = size & 0x7F
            start += count
            size = int.from_bytes(data[at + 2 : start], "big")
            if not 1 <= count <= 3 or start > len(data) or size < max(0x80, 1 << 8 * (count - 1)):
                raise ValueError("DER with a length that is not in its shortest form")
        at = start + size
        if at > len(data):
            raise ValueError("DER that is cut short")
        yield tag, data[start:at]


def _exactly(items: Iterator[Item], count: int) -> list[Item]:
    found = list(items)
    if len(found) != count:
        raise ValueError(f"DER with {len(found)} elements where {count} are due")
    return found


def _content(item: Item, tag: int) -> bytes:
    if item[0] != tag:
        raise ValueError(f"DER with tag {item[0]:#x} where {tag:#x} is due")
    return item[1]


def _name(data: bytes) -> str:
    """Organisation, or else common name, of a distinguished name; the first of each."""
    found: dict[bytes, str] = {}
    for group in _items(data):
        for pair in _items(_content(group, _SET)):
            kind, value = _exactly(_items(_content(pair, _SEQUENCE)), 2)
            if _content(kind, _OID) in (_ORGANISATION, _COMMON_NAME):
                found.setdefault(kind[1], _text(value))
    return found.get(_ORGANISATION) or found.get(_COMMON_NAME, "")


def _text(value: Item) -> str:
    coding = _TEXTS.get(value[0])
    if coding is None:
        raise ValueError(f"a name of DER tag {value[0]:#x}, which is no text")
    text = value[1].decode(coding)[:TEXT_MAX]
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _alt_names(data: bytes) -> tuple[str, ...]:
    names: set[str] = set()
    (extensions,) = _exactly(_items(data), 1)
    for extension in _items(_content(extensions, _SEQUENCE)):
        parts = list(_items(_content(extension, _SEQUENCE)))
        if len(parts) < 2 or parts[0] != (_OID, _ALT_NAMES):
            continue
        (general,) = _exactly(_items(_content(parts[-1], _OCTETS)), 1)
        for tag, value in _items(_content(general, _SEQUENCE)):
            if tag == _DNS:
                names.add(_text((0x16, value)))
            elif tag == _IP:
                names.add(str(ip_address(value)))
    return tuple(sorted(names)[:NAMES_MAX])
