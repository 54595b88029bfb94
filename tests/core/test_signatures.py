"""What bytes may mean: each row can be reached, and says where it is known from."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.signatures import (
    BOOK,
    OTHERWISE,
    SIGNATURES,
    WHOSE,
    WORDS_MAX,
    Book,
    Signature,
    wording,
)
from holdfast.facts.outcomes import Failure, FailureKind, Said

KINDS = get_args(FailureKind)


@pytest.mark.parametrize("row", SIGNATURES, ids=lambda row: f"{row.cause}: {row.source}")
def test_a_row_is_whole(row: Signature) -> None:
    assert sum(row.prior) == pytest.approx(1, abs=0.001)
    assert row.prior[WHOSE.index(row.whose)] == max(row.prior)
    assert all(share > 0 for share in row.prior), "nobody is ever ruled out by bytes alone"
    assert row.source
    assert row.kinds <= set(KINDS)
    assert row.statuses or row.kinds or not row.plain, "it would fit everything"


def test_no_row_is_hidden_behind_another() -> None:
    """A plain row ends the search for its statuses and kinds."""
    statuses: set[int] = set()
    kinds: set[str] = set()
    for row in SIGNATURES:
        open_marks = (row.statuses - statuses) | (row.kinds - kinds)
        assert open_marks or not (row.statuses or row.kinds), (row.cause, row.source)
        if row.plain:
            statuses |= row.statuses
            kinds |= row.kinds


@pytest.mark.parametrize("row", [row for row in SIGNATURES if row.codes or row.types])
def test_a_stable_code_is_enough_whatever_is_said(row: Signature) -> None:
    """Codes and types are whole words of the provider's; wording may change."""
    status = min(row.statuses) if row.statuses else None
    kind: FailureKind = "status" if row.statuses else "error_event"
    for code in row.codes | row.types:
        said = Said(code, code, "worded anew")
        found = BOOK.find(Failure(kind=kind, where="body", status=status, said=said), "worded anew")
        # An earlier row may own the same code; it then means no other thing.
        assert found.whose == row.whose, (code, found)


CASES = [
    (503, "", "upstream connect error or disconnect/reset before headers", "provider_overload"),
    (403, "", "Attention Required! | Cloudflare", "proxy_or_captive_portal"),
    (400, "", "No API key provided. Set your key in an Authorization header", "credential_invalid"),
    (401, "", "You must be a member of an organization to use the API", "credential_invalid"),
    (403, "PERMISSION_DENIED", "The caller does not have permission", "permission_model_access"),
    (429, "", "Quota exceeded for metric x, limit: 0. Please retry in 30s", "quota_or_billing"),
    (429, "", "You have reached your free-models-per-day limit", "quota_or_billing"),
    (429, "", "Exceeded call rate limit. Please retry after 59 seconds.", "rate_limit"),
    (503, "new_api_error", "no available channel for model x", "proxy_or_captive_portal"),
    (500, "", "model runner has unexpectedly stopped", "local_engine_oom"),
    (503, "", "Loading model", "local_engine_down"),
    (400, "", "The model `x` has been decommissioned", "model_not_found"),
    (404, "", "404 page not found", "wrong_address"),
    (404, "", "Cannot POST /v1/v1/messages", "wrong_address"),
    (511, "", "", "proxy_or_captive_portal"),
    (502, "", "error code: 502", "provider_outage"),
]


@pytest.mark.parametrize(("status", "kind", "words", "cause"), CASES)
def test_a_class_of_wording_is_known(status: int, kind: str, words: str, cause: str) -> None:
    failure = Failure(kind="status", where="body", status=status, said=Said(kind, "", words))
    assert BOOK.find(failure, wording(failure)).cause == cause


@pytest.mark.parametrize(
    ("status", "words", "cause"),
    [
        (404, "404 page not found", "not_offered"),
        (405, "Method Not Allowed", "not_offered"),
        (404, "model: claude-0", "model_not_found"),
        (404, "The model `x` does not exist", "model_not_found"),
        (None, "", "not_offered"),
    ],
)
def test_who_has_no_count_is_not_ill_and_who_has_no_such_model_says_so(
    status: int | None, words: str, cause: str
) -> None:
    kind = "not_found_error" if status == 404 else ""
    failure = Failure(kind="absent", where="body", status=status, said=Said(kind, "", words))
    row = BOOK.find(failure, wording(failure))
    assert (row.cause, row.scope) == (cause, "nothing" if cause == "not_offered" else "leaf")


def test_a_page_of_the_network_s_own_is_known_and_a_word_of_it_is_not_enough() -> None:
    for body, whose in [
        (b"<html>\n<title>Blocked by Zscaler", "network"),
        (b"<html>Sign in to this WiFi", "network"),
        (b"<html>Forbidden", "intermediary"),
        (b"the input speaks of a hotspot", "account"),
    ]:
        failure = Failure(kind="status", where="body", status=403, body=body)
        assert BOOK.find(failure, wording(failure)).whose == whose, body


def test_a_page_and_the_words_of_who_failed_are_searched_where_nothing_was_said() -> None:
    page = Failure(kind="not_json", where="body", status=200, body=b" <HTML>Hotspot")
    assert wording(page) == "<page>  <html>hotspot"
    refused = Failure(kind="refused", where="connect", text="Refused by 127.0.0.1:9")
    assert wording(refused) == "refused by 127.0.0.1:9"
    silent = Failure(kind="status", where="body", status=500, text="HTTP 500")
    assert wording(silent) == ""


@given(
    st.sampled_from(KINDS),
    st.none() | st.integers(100, 999),
    st.builds(Said, st.text(max_size=20), st.text(max_size=20), st.text(max_size=200)),
    st.binary(max_size=200),
)
def test_looking_up_is_the_first_row_that_fits(
    kind: FailureKind, status: int | None, said: Said, body: bytes
) -> None:
    """The index by status and kind changes no answer."""
    failure = Failure(kind=kind, where="body", status=status, said=said, body=body)
    words = wording(failure)
    assert len(words) <= WORDS_MAX + 10
    plainly = (
        row
        for row in SIGNATURES
        if (not row.statuses and not row.kinds) or status in row.statuses or kind in row.kinds
    )
    expected = next((row for row in plainly if row.fits(said, words)), OTHERWISE)
    assert BOOK.find(failure, words) is expected
    assert Book(()).find(failure, words) is OTHERWISE
