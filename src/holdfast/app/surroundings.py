"""A look around from this machine, without any gateway: can each cloud be reached, can anybody?

The references are asked once for all of them, and each provider once, side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from msgspec import structs

from holdfast.config.addresses import is_loopback
from holdfast.config.read import Config
from holdfast.core.way import finding
from holdfast.facts.network import Climb, References
from holdfast.net.dial import Origin
from holdfast.net.ladder import Ladder, Limits
from holdfast.net.proxies import proxies_of
from holdfast.net.reach import trusting

LOOK_S = 10.0


async def look_around(config: Config, environ: Mapping[str, str], wall: float) -> list[Climb]:
    """A climb towards each cloud provider of the configuration, in its order; at most `LOOK_S`.

    `provider` names all that are at that address. Who stands on this machine needs no network: he
    is left out, unless the configuration names references of its own. `wall`: UTC seconds now.
    """
    wanted = config.observatory.references
    origins: dict[Origin, list[str]] = {}
    for name, provider in config.providers.items():
        origin, _ = Origin.of(provider.base_url)
        far = wanted != References() or not is_loopback(origin.host)
        if provider.kind == "cloud" and far:
            origins.setdefault(origin, []).append(name)
    if not origins:
        return []
    tls, proxies, limits = trusting(), proxies_of(environ), Limits(total_s=LOOK_S)
    others = Ladder(wanted, proxies=proxies, tls=tls, limits=limits)
    alone = Ladder(References(hosts=(), portals=()), proxies=proxies, tls=tls, limits=limits)
    around, *climbs = await asyncio.gather(
        others.climb(wall),
        *(alone.climb(wall, ", ".join(names), origin) for origin, names in origins.items()),
    )
    return [
        together(climb, around, origin.host) for origin, climb in zip(origins, climbs, strict=True)
    ]


def together(climb: Climb, around: Climb, host: str) -> Climb:
    """A climb towards a host, read with what was found around it."""
    own = [step for step in climb.steps if step.rung != "link"]
    met = {(step.rung, step.host, step.family, step.proxied) for step in own}
    steps = (
        *own,
        *(s for s in around.steps if (s.rung, s.host, s.family, s.proxied) not in met),
    )
    found, because = finding(steps, host)
    return structs.replace(climb, finding=found, steps=steps, because=because)
