"""What there is to ask for: the models that the configuration names, and those that providers list.

A route is a glob, and a glob cannot be listed: who serves it must be asked. Each provider's list
is kept for a while, those that do not answer soon are left out, and nobody's failure is told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from holdfast.facts.calls import Headers
from holdfast.facts.places import Dialect, Provider, Route, Target
from holdfast.net.caller import Caller
from holdfast.net.desk import Desk, Place
from holdfast.net.fetch import fetch
from holdfast.wire.headers import credential_headers, is_subscription
from holdfast.wire.listing import read_models
from holdfast.wire.speak import DIALECTS
from holdfast.wire.speech import Model

# Claude Code waits three seconds for a list.
PATIENCE_S = 2.0
KEPT_S = 300.0
FAILED_S = 30.0
KEPT_MAX = 256
_GLOB = set("*?[")

# The target that an asked name leads to first, None where it leads nowhere.
Leads = Callable[[str], Target | None]
# Whose list: the provider's name, and the mark of the credential where it is the client's own.
_Key = tuple[str, str]


class _List(Struct, frozen=True):
    models: tuple[Model, ...]
    until: float


class Shelf:
    """The lists of a gateway's providers, for who asks."""

    __slots__ = ("_asking", "_desk", "_lists")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lists: OrderedDict[_Key, _List] = OrderedDict()
        self._asking: dict[_Key, asyncio.Task[None]] = {}

    def forget(self) -> None:
        """The configuration is another one: whoever is there now is asked anew."""
        self._lists.clear()

    def ask(self, dialect: Dialect, caller: Caller) -> set[asyncio.Task[None]]:
        """Ask those whose lists are not at hand; the errands, each of which ends in time."""
        desk, at, errands = self._desk, self._desk.clock(), set()
        for name, place in desk.places.items():
            headers = _headers(place, dialect, caller)
            if headers is None:
                continue
            key = _key(name, place.provider, caller)
            known = self._lists.get(key)
            if (known is None or at >= known.until) and key not in self._asking:
                errand = self._fetch(key, place, headers)
                self._asking[key] = asyncio.get_running_loop().create_task(errand)
            if key in self._asking:
                errands.add(self._asking[key])
        return errands

    def known(self, dialect: Dialect, caller: Caller) -> dict[str, tuple[Model, ...]]:
        """The lists that this caller may see, by provider."""
        found = {}
        for name, place in self._desk.places.items():
            kept = self._lists.get(_key(name, place.provider, caller))
            if kept is not None and _headers(place, dialect, caller) is not None:
                found[name] = kept.models
        return found

    async def _fetch(self, key: _Key, place: Place, headers: Headers) -> None:
        spoken = place.provider.dialects[0]
        url = place.provider.base_url + DIALECTS[spoken].MODELS_PATH
        try:
            answer = await fetch(
                self._desk.dialer, url, headers=headers, total_s=PATIENCE_S, redirects=0
            )
            models = read_models(answer.body) if answer.status == 200 else ()
        finally:
            del self._asking[key]
        at = self._desk.clock()
        before = self._lists.get(key)
        if not models and before is not None:
            models = before.models  # what was there is better than nothing
        well = answer.failure is None and answer.status == 200
        self._lists[key] = _List(models, at + (KEPT_S if well else FAILED_S))
        self._lists.move_to_end(key)
        if len(self._lists) > KEPT_MAX:
            self._lists.popitem(last=False)


def _key(name: str, provider: Provider, caller: Caller) -> _Key:
    return name, caller.mark if provider.key == "client" else ""


def _headers(place: Place, dialect: Dialect, caller: Caller) -> Headers | None:
    """With what this provider is asked for its list; None where it is not asked.

    A client's own key is for who speaks its dialect, a subscription's token for no errand of
    ours, and what a simulator lists is known.
    """
    provider = place.provider
    spoken = provider.dialects[0]
    if provider.kind == "sim" or spoken not in DIALECTS:
        return None
    secret, own = place.secret, None
    if provider.key == "client":
        own = caller.credential
        if own is None or dialect not in provider.dialects:
            return None
        secret = own[1]
    if is_subscription(secret):
        return None
    credential = () if secret is None else credential_headers(spoken, secret, own)
    return (*DIALECTS[spoken].HEADERS, *credential)


def listed(
    routes: Iterable[Route],
    providers: Mapping[str, Provider],
    lists: Mapping[str, tuple[Model, ...]],
    leads: Leads,
) -> list[Model]:
    """All that can be asked for, by name: each model by its own where that leads to it, else by
    `provider/model`. `lists` are the providers' own.
    """
    found: dict[str, Model] = {}
    windows = {
        (name, model.id): model.context_tokens for name, models in lists.items() for model in models
    }
    for route in routes:
        led = None if set(route.model) & _GLOB else leads(route.model)
        if led is not None:
            window = windows.get((led.provider, led.model))
            found[route.model] = Model(route.model, "", window)
    for name, provider in providers.items():
        for facts in provider.models:
            if not set(facts.model) & _GLOB:
                named = f"{name}/{facts.model}"
                found[named] = Model(named, "", facts.context_tokens)
    for name, models in lists.items():
        for model in models:
            led = leads(model.id)
            plain = led is not None and (led.provider, led.model) == (name, model.id)
            named = model.id if plain else f"{name}/{model.id}"
            found.setdefault(named, Model(named, model.title, model.context_tokens, model.created))
    return sorted(found.values(), key=lambda model: model.id)
