"""What a gateway says of itself: in trouble, well, and one from before there were incidents."""

from __future__ import annotations

from typing import Any

AT = 1_000_000_000.0


def segment(
    provider: str, surface: str | None = None, model: str | None = None, key: str | None = None
) -> dict[str, Any]:
    return {"provider": provider, "surface": surface, "model": model, "credential": key}


def old() -> dict[str, Any]:
    """An older gateway: no incidents, pages, network or probes."""
    return {
        "version": "0.1.0",
        "at": AT,
        "started": AT - 7200,
        "url": "http://127.0.0.1:4141",
        "blame": "well",
        "segments": [],
        "routes": [],
        "calls_in_the_air": 0,
        "alarms": [],
        "crashes": [],
    }


def row(state: str, where: dict[str, Any], **more: Any) -> dict[str, Any]:
    usual = {"kind": "", "status": None, "verdict": "", "whose": "", "because": [], "rests_s": 0.0}
    return {"segment": where, "state": state, "since": AT - 720, **usual, **more}


def incident(**more: Any) -> dict[str, Any]:
    usual = {
        "id": "i-20",
        "since": AT - 720,
        "opened": AT - 540,
        "back": None,
        "resolved": None,
        "whose": "provider",
        "cause": "overloaded",
        "confidence": 0.94,
        "because": ["6 of 6 calls failed with 529", "this key worked a minute ago"],
        "segments": [segment("acme", "messages")],
        "page_said": None,
        "page_late_s": None,
        "stood_in": ["other/large"],
        "eta": {"quantiles_min": {"10": 30.0, "50": 58.0, "90": 180.0}, "told": "…"},
    }
    return {**usual, **more}


def trouble() -> dict[str, Any]:
    """Two incidents open, one over, and everything else that can be said."""
    down = {"whose": "provider", "because": ["529 overloaded_error"], "rests_s": 9.5}
    return {
        **old(),
        "blame": "mixed",
        "calls_in_the_air": 2,
        "incidents": [
            incident(),
            incident(
                id="i-21",
                since=AT - 60,
                whose="account",
                cause="invalid_key",
                confidence=0.8,
                because=["the key was never accepted here"],
                segments=[segment("third", "chat", None, "env:THIRD_KEY")],
                stood_in=[],
                eta=None,
            ),
            incident(
                id="i-19",
                since=AT - 6000,
                back=AT - 3180,
                resolved=AT - 3000,
                segments=[segment("other", "chat", "small")],
                stood_in=["acme/large"],
                eta=None,
            ),
        ],
        "pages": {
            "acme": {
                "state": "operational",
                "described": "All Systems Operational",
                "why": "",
                "read_at": AT - 180,
                "url": "https://status.acme.example",
            }
        },
        "network": {"finding": "well", "at": AT - 300, "because": []},
        "probes": {
            "acme": {"free_today": 12, "free_max": 500, "paid_today": 0, "paid_max": 20},
            "other": {"free_today": 0, "free_max": 500, "paid_today": 0, "paid_max": 20},
        },
        "changes": [{"provider": "acme", "at": AT - 1500, "told": "certificate issuer A → B"}],
        "segments": [
            row("down", segment("acme", "messages"), status=529, **down),
            row(
                "down", segment("third", "chat", None, "env:THIRD_KEY"), status=401, whose="account"
            ),
            row("well", segment("other", "chat", "large", "env:OTHER_KEY")),
        ],
        "routes": [
            {
                "model": "claude-*",
                "serving": "other/large",
                "stand_in": True,
                "targets": [
                    {"target": "acme/*", "state": "down", "why": "529"},
                    {"target": "other/large", "state": "ready"},
                    {"target": "box/qwen3-coder:30b", "state": "ready"},
                ],
            },
            {"model": "gpt-*", "serving": "", "stand_in": False, "targets": []},
        ],
    }
