"""Users confirm each other: what one gateway tells others of its attempts, and believes of theirs.

A feed holds counts by provider, surface, model and minute, and nothing else: no prompts, no keys,
no credentials, no identities, no names that a person made up. What is read from a peer is evidence
of one more voice, never more: bounded, counted once, and marked as a peer's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from holdfast.facts.observations import Observation
from holdfast.facts.places import Provider

VERSION = 1
MINUTE_S = 60.0
WINDOW_S = 1800.0
# Clocks differ; a minute that is further ahead than this was made up.
AHEAD_S = 90.0
ROWS_MAX = 500
FEED_BYTES_MAX = 200_000
# What one voice counts for, a minute and surface: a busy team is not heard louder than this, and
# neither is somebody who invents numbers.
COUNT_MAX = 60
CAUSES_MAX = 20
POLL_S = 30.0
BACK_OFF_S = 60.0
BACK_OFF_MAX_S = 600.0

# Failures that say something of a provider to somebody else. "account" is among them: that others
# are refused at the same time is what tells an outage from a bad key.
TELLING = ("provider", "account", "unknown")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9.:_-]{0,99}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@-]{0,99}")
_NONCE = re.compile(r"[A-Za-z0-9]{1,32}")


class FeedError(ValueError):
    """A peer's feed cannot be used; the text says why, in words that are ours alone."""


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Attempts on one part of a provider that ended within one minute (UTC seconds of its start).

    `model` empty: of no particular one. `causes` counts the failures by what they were judged to
    be; they add up to `failed`.
    """

    provider: str
    surface: str
    model: str = ""
    minute: int
    ok: int = 0
    failed: int = 0
    causes: dict[str, int] = {}


class Feed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is told. `nonce` is drawn anew by each process: it tells two peers apart, or that two
    addresses are one, and names nobody.
    """

    version: int
    nonce: str
    at: float
    rows: list[Row]


Cell = tuple[str, str, str, int]


# ------------------------------------------------------------------- telling


def public_names(providers: Iterable[Provider], known: Mapping[str, str]) -> dict[str, str]:
    """What providers are called among peers, by their name here: known ones by their known name
    (`known`: by base URL), other clouds by their host. Local engines and simulated ones by none.
    """
    names: dict[str, str] = {}
    for provider in providers:
        if provider.kind == "cloud":
            host = urlsplit(provider.base_url).hostname or ""
            name = known.get(provider.base_url, host)
            if _PROVIDER.fullmatch(name):
                names[provider.name] = name
    return names


class Tally:
    """Counts what was observed here, for others to read. Not what peers said: no echoes.

    `names` are the `public_names`; `serves` the globs of each provider's public models. Other
    models, as those that a customer tuned, have names that tell whose they are: they are counted
    without. Both may be replaced when the configuration changes.
    """

    __slots__ = ("_cells", "names", "nonce", "serves")

    def __init__(
        self, nonce: str, names: Mapping[str, str], serves: Mapping[str, tuple[str, ...]]
    ) -> None:
        self.nonce = nonce
        self.names = names
        self.serves = serves
        self._cells: dict[Cell, tuple[int, dict[str, int]]] = {}

    def observe(self, obs: Observation) -> None:
        """Fold one observation."""
        name = self.names.get(obs.provider)
        if name is None or obs.kind not in ("traffic", "probe") or not _WORD.fullmatch(obs.surface):
            return
        minute = int(obs.wall // MINUTE_S * MINUTE_S)
        cell = (name, obs.surface, self._public_model(obs), minute)
        if cell not in self._cells and len(self._cells) >= 2 * ROWS_MAX:
            del self._cells[next(iter(self._cells))]  # the oldest
        ok, causes = self._cells.get(cell, (0, {}))
        if obs.ok:
            self._cells[cell] = (ok + obs.count, causes)
        elif obs.verdict is not None and obs.verdict.whose in TELLING:
            cause = obs.verdict.cause if _WORD.fullmatch(obs.verdict.cause) else "unknown"
            if cause in causes or len(causes) < CAUSES_MAX:
                self._cells[cell] = (ok, causes | {cause: causes.get(cause, 0) + obs.count})

    def _public_model(self, obs: Observation) -> str:
        known = any(fnmatchcase(obs.model, glob) for glob in self.serves.get(obs.provider, ()))
        return obs.model if known and _MODEL.fullmatch(obs.model) else ""

    def _forget(self, now: float) -> None:
        for cell in [cell for cell in self._cells if cell[3] < now - WINDOW_S]:
            del self._cells[cell]

    def feed(self, now: float) -> Feed:
        """The last 30 minutes, newest first, within the bounds that readers keep. `now`: UTC."""
        self._forget(now)
        cells = sorted(self._cells.items(), key=lambda item: (-item[0][3], item[0]))
        rows = [
            Row(
                provider=provider,
                surface=surface,
                model=model,
                minute=minute,
                ok=ok,
                failed=sum(causes.values()),
                causes=causes,
            )
            for (provider, surface, model, minute), (ok, causes) in cells[:ROWS_MAX]
            if minute <= now
        ]
        found = Feed(version=VERSION, nonce=self.nonce, at=now, rows=rows)
        while len(msgspec.json.encode(found)) > FEED_BYTES_MAX:
            found = msgspec.structs.replace(found, rows=found.rows[: len(found.rows) * 3 // 4])
        return found


# ------------------------------------------------------------------- hearing


_decoder = msgspec.json.Decoder(Feed)


def read_feed(data: bytes, now: float) -> Feed:
    """A peer's feed, every row of it sound: within the bounds, its times within the last 30
    minutes. Raises FeedError, with one plain reason, where anything is not.
    """
    if len(data) > FEED_BYTES_MAX:
        raise FeedError(f"its feed is larger than {FEED_BYTES_MAX // 1000} kB")
    try:
        feed = _decoder.decode(data)
    except (ValueError, RecursionError):
        raise FeedError("what it sends is no feed of observations") from None
    if feed.version != VERSION:
        raise FeedError(f"its feed has the version {feed.version}; this holdfast reads {VERSION}")
    if not _NONCE.fullmatch(feed.nonce):
        raise FeedError("its feed does not say which process it is from")
    if len(feed.rows) > ROWS_MAX:
        raise FeedError(f"its feed has more than {ROWS_MAX} rows")
    if len({(r.provider, r.surface, r.model, r.minute) for r in feed.rows}) < len(feed.rows):
        raise FeedError("its feed counts something twice")
    for row in feed.rows:
        _examine(row, now)
    return feed


def _examine(row: Row, now: float) -> None:
    if not now - WINDOW_S - MINUTE_S <= row.minute <= now + AHEAD_S:
        raise FeedError(
            "its feed has times that are not of the last 30 minutes; look at the clocks"
        )
    if not (_PROVIDER.fullmatch(row.provider) and _WORD.fullmatch(row.surface)):
        raise FeedError("its feed names a provider or a surface as none is called")
    if row.model and not _MODEL.fullmatch(row.model):
        raise FeedError("its feed names a model as none is called")
    if len(row.causes) > CAUSES_MAX or not all(map(_WORD.fullmatch, row.causes)):
        raise FeedError("its feed names causes that are none")
    counts = (row.ok, row.failed, *row.causes.values())
    if min(counts) < 0 or sum(row.causes.values()) != row.failed:
        raise FeedError("its feed has counts that do not add up")


class Hearing:
    """What was heard of one peer, so that each of its attempts counts once, and no more than a
    voice may count. `peer` is what it is called in observations; `names` as for `Tally`.
    """

    __slots__ = ("_taken", "names", "peer")

    def __init__(self, peer: str, names: Mapping[str, str]) -> None:
        self.peer = peer
        self.names = names
        # What was taken so far: of each cell and kind of end, and of each surface and minute.
        self._taken: dict[tuple[Cell, str], int] = {}

    def news(self, feed: Feed, now: float, at: float) -> list[Observation]:
        """What is new in a feed that was read: kind "peer", oldest first, in the own names.

        `now` is UTC, `at` the steady clock of the same moment; both seconds. An observation has
        the time of its minute's end, as far as that has come.
        """
        for key in [key for key in self._taken if key[0][3] < now - WINDOW_S - 2 * MINUTE_S]:
            del self._taken[key]
        here: dict[str, list[str]] = {}
        for own, public in self.names.items():
            here.setdefault(public, []).append(own)
        found: list[Observation] = []
        for row in sorted(feed.rows, key=lambda row: (row.minute, row.provider, row.surface)):
            for provider in here.get(row.provider, ()):
                found += self._row(row, provider, now, at)
        return found

    def _row(self, row: Row, provider: str, now: float, at: float) -> Iterable[Observation]:
        cell = (provider, row.surface, row.model, row.minute)
        wall = min(row.minute + MINUTE_S, now)
        total = row.ok + row.failed
        # Failures first, so that good answers leave them room. Of many attempts the same part is
        # taken of each end, and of a few failures one.
        for cause, said in (*sorted(row.causes.items()), ("", row.ok)):
            share = said if total <= COUNT_MAX else -(-said * COUNT_MAX // total)
            count = self._take(cell, cause, share)
            if count:
                yield Observation(
                    at=at - (now - wall),
                    wall=wall,
                    kind="peer",
                    provider=provider,
                    surface=row.surface,
                    model=row.model,
                    ok=not cause,
                    count=count,
                    failure_kind=cause,
                    peer=self.peer,
                )

    def _take(self, cell: Cell, cause: str, share: int) -> int:
        """How many of these are new, and still within what this voice may say of that minute."""
        voice = ((cell[0], cell[1], "", cell[3]), "*")
        room = COUNT_MAX - self._taken.get(voice, 0)
        count = max(0, min(share - self._taken.get((cell, cause), 0), room))
        if count:
            self._taken[cell, cause] = self._taken.get((cell, cause), 0) + count
            self._taken[voice] = self._taken.get(voice, 0) + count
        return count


def wait_s(failures: int, dice: Callable[[], float]) -> float:
    """How long to wait before a peer is asked again, after so many failures one after another."""
    if not failures:
        usual = POLL_S
    else:
        usual = min(BACK_OFF_S * 2.0 ** min(failures - 1, 10), BACK_OFF_MAX_S)
    return usual * (0.9 + 0.2 * dice())
