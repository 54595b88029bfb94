"""What of a request did not reach a target of another dialect, or of an answer its client."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

# Whether a request may reach a target without all that it says.
Losses = Literal["allowed", "forbidden"]


class Lost(Struct, frozen=True):
    """One thing that could not be carried over.

    `field` is its name in the client's own dialect (`top_k`, `messages[3].content[1]`), or what of
    an answer it is (`answer.citations`), `why` is for people. `tolerable`: the answer still is one
    to what was asked; a loss that is not keeps the request from this target.
    """

    field: str
    why: str
    tolerable: bool = True

    def __str__(self) -> str:
        return f"{self.field}: {self.why}"
