"""Looking for the model's name in bytes: exactly, quickly, and without a word on what is not JSON.

What a peek says of a body is held in `test_speak`.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.peek import model_spans, renamed

NAMES = st.sampled_from(["model", "x", "modél", 'say "model', "model\\", "stream"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just('"model":"x"'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.text(max_size=10), st.booleans(), st.data())
def test_the_span_is_that_of_the_top_levels_model(
    fields: dict[str, object], name: str, ascii_only: bool, data: st.DataObject
) -> None:
    """However often the name is said elsewhere, and however text is escaped."""
    order = data.draw(st.permutations([*fields, "model"] if "model" not in fields else [*fields]))
    fields["model"] = name
    body = json.dumps({key: fields[key] for key in order}, ensure_ascii=ascii_only).encode()
    spans = model_spans(body)
    assert [json.loads(body[start:end]) for start, end in spans] == [name]
    assert json.loads(renamed(body, "new")) == fields | {"model": "new"}


def test_a_name_that_is_written_with_escapes_is_found() -> None:
    body = b'{"x":{"model":"inner"},"mod\\u0065l" : "outer","y":"\\"model\\":1"}'
    assert renamed(body, "n") == body.replace(b'"outer"', b'"n"')


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"model":"x"', b'{"a":{"model":"m"}}', b'{"requests":[{"model":"m"}]}', b"{"],
)
def test_a_body_that_names_no_model_on_top_stays_as_it_is(body: bytes) -> None:
    assert renamed(body, "new") == body


@given(st.one_of(st.binary(max_size=80), st.text('{}[]"\\:,model u0', max_size=60).map(str.encode)))
def test_no_bytes_whatever_make_it_raise(body: bytes) -> None:
    for dirty in (body, b'{"model":"m",' + body, b'{"\\ud8' + body):
        renamed(dirty, "new")
