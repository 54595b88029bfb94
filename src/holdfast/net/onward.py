"""An upstream's head on its way to the client: hygiene, mask and header lines at one look.

A provider says the same names with every answer, so what passes, and in which lines, is known by
the names. Where anything is odd in the values, each is looked at by itself. Pure.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import compress

from holdfast.core.words import ascii_header
from holdfast.facts.calls import Headers
from holdfast.facts.places import Target
from holdfast.net.mask import masked_headers
from holdfast.net.reply import Lines, template_of
from holdfast.wire.headers import all_fit, named_by_connection, passing_down, to_client

# Heads are remembered by their names, so many of them and none with longer ones.
FORMS_MAX = 512
NAMES_BYTES_MAX = 4096


class _Form:
    """What becomes of a head with these names: which pass, into which lines."""

    __slots__ = ("dated", "hop", "passes", "template")

    def __init__(self, theirs: tuple[bytes, ...], ours: tuple[bytes, ...]) -> None:
        self.passes = passing_down(theirs) + (True,) * len(ours)
        kept = tuple(compress(theirs + ours, self.passes))
        self.template = template_of(kept)
        self.dated = b"date" in kept
        self.hop = b"connection" in theirs


_forms: dict[tuple[int, tuple[bytes, ...]], _Form] = {}


def onward(headers: Headers, secret: bytes | None, ours: Headers) -> Headers | Lines:
    """What the client is told of these headers, without `secret`, and then `ours`."""
    names, values = zip(*headers, *ours, strict=True)
    form = _forms.get((len(ours), names)) or _form(len(ours), names)
    if form.template and not (form.hop and named_by_connection(headers)):
        kept = tuple(compress(values, form.passes))
        said = b"\t".join(kept)
        if all_fit(said) and (secret is None or said.find(secret) < 0):
            return Lines(form.template % kept, dated=form.dated)
    return masked_headers(to_client(headers), secret) + ours


@lru_cache(1024)
def signature(target: Target, stand_in: bool) -> Headers:  # noqa: FBT001 - the cache's key
    """Who answered, as headers."""
    served = (b"x-holdfast-served-by", ascii_header(str(target)))
    return (served, (b"x-holdfast-stand-in", b"true")) if stand_in else (served,)


def _form(ours: int, names: tuple[bytes, ...]) -> _Form:
    theirs = len(names) - ours
    form = _Form(names[:theirs], names[theirs:])
    if sum(map(len, names)) <= NAMES_BYTES_MAX:
        if len(_forms) >= FORMS_MAX:
            _forms.clear()
        _forms[ours, names] = form
    return form
