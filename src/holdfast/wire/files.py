"""Pictures and documents as they are named and bounded: which kinds a dialect takes.

What a target does not take is known before it is asked; another may take it.
"""

from __future__ import annotations

import base64

from holdfast.wire.speech import CannotCrossError, Document

PDF = "application/pdf"
PICTURES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
# By other names than their own, which some providers take and others do not.
_NAMES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
_TEXTS = ("application/json", "application/xml", "application/x-yaml")


def picture(media: str, taken: frozenset[str] = PICTURES) -> str:
    """The media type of a picture by its usual name; one unsaid is a PNG.

    Raises CannotCrossError for one that is not among those taken.
    """
    media = media.lower() or "image/png"
    media = _NAMES.get(media, media)
    if media not in taken:
        raise CannotCrossError(f"a picture of type {media[:40]} cannot be said here")
    return media


def pdf(document: Document) -> str:
    """The media type of a document that is no text, where PDF alone is taken.

    Raises CannotCrossError for any other.
    """
    media = document.media_type.lower() or PDF
    if media != PDF:
        raise CannotCrossError(f"a document of type {media[:40]} cannot be said here")
    return media


def file_name(document: Document) -> str:
    """A name with an ending: some providers tell files by it alone."""
    name = document.name or "document"
    media = document.media_type.lower() or PDF
    return name if media != PDF or "." in name else f"{name}.pdf"


def document(media: str, data: str, name: str = "", cache: bytes = b"") -> Document:
    """A document out of base64; what is text is read, since everybody takes text."""
    media = media.lower()
    if media.startswith("text/") or media in _TEXTS:
        try:
            text = base64.b64decode(data, validate=True).decode()
        except ValueError:
            pass
        else:
            return Document(media, text=text, name=name, cache=cache)
    return Document(media, data, name=name, cache=cache)
