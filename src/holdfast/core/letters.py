"""The words of a message to people: which part, whose fault, since when, how sure, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from holdfast.core.telling import Change, ChangeKind, Entry, Message
from holdfast.facts.incidents import Event, Incident
from holdfast.facts.outcomes import Whose
from holdfast.facts.places import Segment

TITLE_CHARS = 120
TEXT_CHARS = 2000
REASONS = 2
PARTS = 3
ENTRIES = 50
NETWORK = "the network here"

WHOSE: dict[Whose, str] = {
    "provider": "theirs, not yours",
    "account": "on your side: the account or its key",
    "request": "on your side: what was asked",
    "network": "the network between here and there",
    "local": "on your side: the engine on this machine",
    "intermediary": "something in between: a proxy, a gateway, a portal",
    "unknown": "not clear yet",
}
_REMEDY: dict[Whose, str] = {
    "provider": "Nothing needs mending on your side.",
    "account": "Look at the key and the account's plan, then ask again.",
    "request": "Change what is asked; asking again as it is will not help.",
    "network": "Check this machine's network, VPN and DNS.",
    "local": "Start the engine again, or look at its own log.",
    "intermediary": "Look at the proxy or VPN that is in use; on a guest network, sign in to it.",
    "unknown": "Nothing yet; `holdfast status` shows what is known.",
}
_HEADS: dict[ChangeKind, str] = {
    "opened": "Down",
    "unsteady": "Down again, after coming back",
    "widened": "More is down",
    "narrowed": "Less is down",
    "resolved": "It's back",
    "passed": "Was down, is back",
}
# CSI and OSC sequences of a terminal, and any other escape with the character behind it.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|\x9b[0-?]*[@-~]")


class Voice(Struct, frozen=True):
    """What the words need from elsewhere.

    `local` gives a time of day for UTC seconds; `eta` when an incident may be over, as a sentence
    (empty: not known).
    """

    local: Callable[[float], str]
    eta: Callable[[Incident], str]


def plain(text: str, limit: int) -> str:
    """A text that neither a terminal nor a line-based reader can take for more than text.

    Escape sequences are taken out, other control and direction characters become blanks, and what
    is longer than `limit` ends with an ellipsis.
    """
    bare = _ANSI.sub("", text)
    if not bare.isprintable():
        bare = "".join(char if char.isprintable() else " " for char in bare)
    bare = " ".join(bare.split())
    return bare if len(bare) <= limit else f"{bare[: limit - 1]}…"


def span(seconds: float) -> str:
    """A duration in minutes, hours or days, for people."""
    minutes = round(max(0.0, seconds) / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def part(segment: Segment) -> str:
    """A segment in words, without its credential: `acme messages large`.

    What is about no provider is about the network of this machine.
    """
    names = (segment.provider, segment.surface, segment.model)
    return " ".join(name for name in names if name and name != "*") or NETWORK


def parts(segments: Iterable[Segment], most: int = PARTS) -> str:
    """Several segments in words; what is more than `most` is counted."""
    names = list(dict.fromkeys(part(segment) for segment in segments))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more or "all of it"


def sureness(confidence: float) -> str:
    """How sure it is that it is down, in whole percent; nothing here is ever quite sure."""
    return f"{min(99, max(1, round(confidence * 100)))} % sure"


def known_of(change: Change, incidents: Mapping[str, Incident]) -> Incident:
    """The incident behind a change; one made of its event where it is not at hand any more."""
    found = incidents.get(change.incident)
    if found is not None:
        return found
    event = change.event
    return Incident(
        id=change.incident,
        since=change.first_at or event.at,
        opened=change.first_at or event.at,
        resolved=event.at if event.event == "resolved" else None,
        whose=event.whose,
        cause=event.cause,
        confidence=event.confidence,
        because=event.because,
        segments=event.segments,
    )


def letter(
    name: str,
    changes: Sequence[Change],
    incidents: Mapping[str, Incident],
    voice: Voice,
    wall: float,
) -> Message:
    """The message about these changes (one at least), the weightiest first."""
    titles = [title(change) for change in changes]
    texts = [body(change, known_of(change, incidents), voice, wall) for change in changes]
    if len(changes) == 1:
        head, whole = titles[0], texts[0]
    else:
        head = plain(titles[0], TITLE_CHARS - 20) + f" (and {len(changes) - 1} more)"
        whole = "\n\n".join(f"{a}\n{b}" for a, b in zip(titles, texts, strict=True))
    return Message(
        id=name,
        at=wall,
        kind=changes[0].kind,
        title=plain(head, TITLE_CHARS),
        text=bounded(whole.splitlines(), TEXT_CHARS),
        changes=tuple(entry(change, known_of(change, incidents)) for change in changes[:ENTRIES]),
    )


def entry(change: Change, incident: Incident) -> Entry:
    """A change for programs."""
    event = change.event
    keyed = event.whose == "account"
    return Entry(
        incident=change.incident,
        kind=change.kind,
        at=event.at,
        since=incident.since,
        whose=event.whose,
        cause=plain(event.cause, TITLE_CHARS),
        confidence=event.confidence,
        segments=tuple(
            dict.fromkeys(
                Segment(one.provider, one.surface, one.model, one.credential if keyed else None)
                for one in event.segments[:ENTRIES]
            )
        ),
        because=tuple(plain(reason, TITLE_CHARS) for reason in event.because[:PARTS]),
        stood_in=incident.stood_in[:PARTS],
    )


def bounded(lines: Iterable[str], limit: int) -> str:
    """Plain lines up to `limit` characters; the last that does not fit whole is cut."""
    found: list[str] = []
    left = limit
    for line in lines:
        if left < 2:
            break
        found.append(plain(line, left))
        left -= len(found[-1]) + 1
    return "\n".join(found).strip()


def title(change: Change) -> str:
    """A change in one line."""
    return f"{_HEADS[change.kind]}: {parts(change.event.segments)}"


def body(change: Change, incident: Incident, voice: Voice, wall: float) -> str:
    """What is to be said of one change; a line for each thing."""
    event = change.event
    if event.event == "resolved":
        lines = [back_sentence(incident)]
    else:
        lines = [
            _whose(event, incident, voice, wall),
            _because(event),
            _stand_in(incident),
            voice.eta(incident),
            _page(incident, voice),
            _todo(event, incident),
        ]
    lines.append(_between(change, voice))
    if change.last_word:
        lines.append("It changes often: what follows within the hour comes in one message.")
    return "\n".join(line for line in lines if line)


def back_sentence(incident: Incident) -> str:
    """How long it lasted, who stood in."""
    end = incident.back if incident.back is not None else incident.resolved
    lasted = f"It lasted {span(end - incident.since)}." if end is not None else ""
    names = ", ".join(incident.stood_in[:PARTS])
    stood = f"{names} stood in." if names else ""
    return " ".join(text for text in (lasted, stood) if text) or "Good answers come again."


def _whose(event: Event, incident: Incident, voice: Voice, wall: float) -> str:
    cause = event.cause.replace("_", " ")
    lasts = f"{span(wall - incident.since)}, {sureness(event.confidence)}"
    since = f"Since {voice.local(incident.since)} ({lasts})."
    return f"{since} Whose fault: {WHOSE[event.whose]}{f' ({cause})' if cause else ''}."


def _because(event: Event) -> str:
    reasons = "; ".join(event.because[:REASONS])
    return f"Because: {reasons}." if reasons else ""


def _stand_in(incident: Incident) -> str:
    names = ", ".join(incident.stood_in[:PARTS])
    return f"Standing in: {names}." if names else ""


def _page(incident: Incident, voice: Voice) -> str:
    """What the provider's page says, where it has said anything."""
    if incident.page_said is None:
        return ""
    late = incident.page_late_s
    when = f"Their status page admits it (read at {voice.local(incident.page_said)}"
    if late is None or abs(late) < 30:
        return f"{when})."
    return f"{when}, {span(abs(late))} {'after' if late > 0 else 'before'} us)."


def _todo(event: Event, incident: Incident) -> str:
    if event.whose == "provider" and not incident.stood_in:
        return f"{_REMEDY['provider']} A stand-in in the routes would answer meanwhile."
    if event.whose == "account":
        credential = next((one.credential for one in event.segments if one.credential), None)
        return _REMEDY["account"] + (f" It is the key from {credential}." if credential else "")
    return _REMEDY[event.whose]


def _between(change: Change, voice: Voice) -> str:
    """What was not told while it had to wait."""
    if not change.held:
        return ""
    falls = f"fell {_times(change.falls)}" if change.falls else ""
    returns = f"came back {_times(change.returns)}" if change.returns else ""
    told = " and ".join(text for text in (falls, returns) if text)
    first = voice.local(change.first_at)
    return f"Held back since {first}" + (f"; meanwhile it {told}." if told else ".")


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
