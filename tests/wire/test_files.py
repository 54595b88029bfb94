"""Which kinds of pictures and documents a dialect takes, and how they are named."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.anthropic import ask as anthropic_ask
from holdfast.wire.files import document, file_name, picture
from holdfast.wire.gemini import ask as gemini_ask
from holdfast.wire.openai import ask as openai_ask
from holdfast.wire.responses import ask as responses_ask
from holdfast.wire.speech import Ask, CannotCrossError, Document, Image, Part, Turn

ALL = [anthropic_ask, openai_ask, responses_ask, gemini_ask]


def sent(dialect: Any, *parts: Part) -> str:
    return dialect.write_ask(Ask(turns=(Turn("user", parts),)), "m").body.decode()


@given(st.binary(max_size=30), st.sampled_from(["text/csv", "application/json", "image/x"]))
def test_a_document_of_text_is_read_and_no_other(data: bytes, media: str) -> None:
    packed = base64.b64encode(data).decode()
    found = document(media, packed, "n")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    readable = media != "image/x" and (text or not data)
    expected = Document(media, text=text) if readable else Document(media, packed)
    assert (found.text, found.data) == (expected.text, expected.data)
    assert (found.media_type, found.name) == (media, "n")


@pytest.mark.parametrize("dialect", ALL)
def test_a_picture_by_an_older_name_gets_the_usual_one(dialect: Any) -> None:
    assert "image/jpeg" in sent(dialect, Image("image/jpg", "aGk="))
    assert picture("IMAGE/PNG") == picture("") == "image/png"


@pytest.mark.parametrize(
    ("dialect", "media"),
    [(one, "image/tiff") for one in ALL]
    + [(one, "image/heic") for one in ALL if one is not gemini_ask]
    + [(gemini_ask, "image/gif")],
)
def test_a_picture_that_a_dialect_does_not_take_is_not_sent(dialect: Any, media: str) -> None:
    with pytest.raises(CannotCrossError, match=media):
        sent(dialect, Image(media, "aGk="))


def test_heic_goes_where_it_is_taken() -> None:
    assert "image/heic" in sent(gemini_ask, Image("image/heic", "aGk="))


@pytest.mark.parametrize("dialect", [anthropic_ask, openai_ask, gemini_ask])
def test_a_document_that_is_neither_text_nor_pdf_is_not_sent(dialect: Any) -> None:
    with pytest.raises(CannotCrossError, match="application/zip"):
        sent(dialect, Document("application/zip", "aGk="))
    assert "application/pdf" in sent(dialect, Document("application/pdf", "aGk="))


@pytest.mark.parametrize(
    ("name", "media", "found"),
    [
        ("Report", "application/pdf", "Report.pdf"),
        ("a.pdf", "application/pdf", "a.pdf"),
        ("", "", "document.pdf"),
        ("Report", "application/zip", "Report"),
    ],
)
def test_a_pdf_is_known_by_its_ending(name: str, media: str, found: str) -> None:
    assert file_name(Document(media, "aGk=", name=name)) == found
