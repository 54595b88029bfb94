"""What stood around a failure, for the judge: the circumstances beside the bytes themselves."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

PageState = Literal["operational", "incident", "unreadable"]


class Circumstances(Struct, frozen=True, kw_only=True):
    """What stood around a failure. Seconds; None: not known, which is not the same as False.

    `credential_last_ok_s`: how long ago this very credential last worked. `overload_burst`: server
    errors came there in the last minutes. `other_surfaces_ok`: the same credential has worked on
    another surface of the provider since this surface got into trouble. `other_surfaces_failing`:
    another surface fails although its failures name no user. `many_users`: others report the same
    now (False: said to be alone with it). `status_page`: what the provider's page claimed when it
    was last read. `internet_ok`: independent hosts are reached from here now. `local_change`: what
    was changed on this side lately, in a word (`vpn_on`, `login`, …; `none`: nothing was).
    `intermediary`: a relay or gateway of somebody else stands in between. `local`: the target is an
    engine on this machine. `retry_after_s`: the wait that the answer's headers state.
    """

    local: bool = False
    retry_after_s: float | None = None
    overload_burst: bool = False
    credential_ever_ok: bool | None = None
    credential_last_ok_s: float | None = None
    other_credentials_failing: bool | None = None
    other_surfaces_failing: bool | None = None
    other_surfaces_ok: bool | None = None
    other_models_failing: bool | None = None
    other_providers_ok: bool | None = None
    other_providers_failing: bool | None = None
    many_users: bool | None = None
    status_page: PageState | None = None
    internet_ok: bool | None = None
    local_change: str | None = None
    same_request_fails_again: bool | None = None
    other_requests_ok: bool | None = None
    smaller_request_ok: bool | None = None
    intermediary: bool | None = None
    attempt_count: int | None = None
    model: str | None = None
    request_tokens: int | None = None
    context_tokens: int | None = None
