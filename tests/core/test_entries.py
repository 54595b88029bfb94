"""What an attempt's end is worth as news of its target."""

from __future__ import annotations

import msgspec
import pytest
from tests.core.playbook import legs

from holdfast.core.entries import tells_nothing
from holdfast.facts.flights import AttemptEnded
from holdfast.facts.outcomes import Failure

SILENCE = Failure(kind="headers_timeout", where="before_headers")
ANSWERED = Failure(kind="status", where="body", status=529)


@pytest.mark.parametrize(
    ("outcome", "failure", "hurried", "nothing"),
    [
        ("abandoned", None, False, True),
        ("failed", SILENCE, True, True),
        ("failed", SILENCE, False, False),
        ("failed", ANSWERED, True, False),
        ("failed", Failure(kind="idle_timeout", where="in_stream"), True, False),
        ("ok", None, True, False),
    ],
)
def test_who_was_given_up_too_soon_has_told_nothing(
    outcome: str, failure: Failure | None, hurried: bool, nothing: bool
) -> None:
    leg = msgspec.structs.replace(legs("a")[0], hurried=hurried)
    note = AttemptEnded(at=1.0, attempt=1, leg=leg, outcome=outcome, failure=failure)  # type: ignore[arg-type]
    assert tells_nothing(note) is nothing
