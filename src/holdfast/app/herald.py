"""Tells people of incidents: joins what decides, what finds the words, and what brings them.

What people know, and what is on its way to them, stands in one small file, written before anything
is sent: a restart tells nothing twice and loses nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from holdfast.config.notify import Notify
from holdfast.core.letters import Voice, letter
from holdfast.core.telling import Delivery, Level, Outbox, Telling, Told, wanted
from holdfast.facts.incidents import Event, Incident
from holdfast.net.dial import Dialer
from holdfast.net.notify import Courier, Sender, apprise, command, desktop, webhook
from holdfast.store.note import write_whole

FILE = "told.json"


class Kept(Struct, frozen=True):
    """What stands in the file."""

    told: Told
    outbox: tuple[Delivery, ...] = ()


class Herald:
    """One for a gateway. `hear` takes events, `beat` is called once a second, `alarms` tell what
    could not be told.

    `wall` gives UTC seconds, `local` the local time of a moment. `eta` is a sentence
    about an incident: when it may be over.
    """

    def __init__(
        self,
        folder: Path,
        dialer: Dialer,
        *,
        wall: Callable[[], float] = time.time,
        local: Callable[[float], time.struct_time] = time.localtime,
        eta: Callable[[Incident], str] = lambda _: "",
    ) -> None:
        self._path = folder / FILE
        self._dialer = dialer
        self._wall = wall
        self._local = local
        self._voice = Voice(local=lambda at: time.strftime("%H:%M", local(at)), eta=eta)
        self._own_alarms: dict[str, str] = {}
        self._levels: dict[str, Level] = {}
        self._saving: asyncio.Task[None] | None = None
        self._dirty = False
        kept = self._read()
        self.telling = Telling(saved=kept.told)
        self.courier = Courier(Outbox(kept.outbox), wall=wall, changed=self._change)

    @property
    def alarms(self) -> list[str]:
        """What people ought to know of the telling itself."""
        return [*self._own_alarms.values(), *self.courier.outbox.alarms.values()]

    def take_over(self, config: Notify, environ: Mapping[str, str]) -> list[str]:
        """Tell those whom this configuration names; sentences about what cannot be done."""
        senders: dict[str, tuple[Sender, Level]] = {}
        notices = []
        if config.desktop is not False:
            shower = desktop(environ)
            if not isinstance(shower, str):
                senders["desktop"] = shower, config.desktop_level
            elif config.desktop:
                notices.append(f"notify.desktop: {shower}")
        for hook in config.webhooks:
            secret = hook.secret.reveal() if hook.secret is not None else ""
            sender = webhook(self._dialer, hook.url.reveal(), hook.header, secret)
            senders[_free(f"webhook {hook.host}", senders)] = sender, hook.level
        for one in config.apprise:
            name = _free(f"apprise {one.reference}", senders)
            senders[name] = apprise(one.url.reveal()), one.level
        for program in config.commands:
            name = _free(f"command {Path(program.words[0]).name}", senders)
            senders[name] = command(program.words, environ), program.level
        self.telling.quiet = config.quiet
        self.courier.senders = {name: sender for name, (sender, _) in senders.items()}
        self._levels = {name: level for name, (_, level) in senders.items()}
        self.courier.outbox.keep(senders)
        return notices

    def hear(self, event: Event, *, recalled: bool = False) -> None:
        """Take in one event of an incident; `recalled`: out of the journal, at the start."""
        if self.telling.hear(event, self._wall(), recalled=recalled):
            self._change()

    def beat(self, incidents: Mapping[str, Incident]) -> None:
        """Once a second: write down what is due, then bring it. `incidents` by their ids."""
        wall = self._wall()
        local = self._local(wall)
        changes = self.telling.due(wall, local.tm_hour * 60 + local.tm_min)
        if changes:
            name = self.telling.next_id(wall)
            for notifier, level in self._levels.items():
                mine = wanted(changes, level)
                if mine:
                    message = letter(name, mine, incidents, self._voice, wall)
                    self.courier.outbox.put(message, notifier, wall)
            self._change()
        if self._saving is None:
            if self._dirty:
                self._saving = asyncio.get_running_loop().create_task(self._save())
            else:
                self.courier.beat()

    async def close(self) -> None:
        """Stop, and write down what is still on its way."""
        await self.courier.close()
        if self._saving is not None:
            await self._saving
        await self._save()

    # ------------------------------------------------------------ the file

    def _change(self) -> None:
        self._dirty = True

    def _read(self) -> Kept:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Kept)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.DecodeError) as error:
            self._own_alarms["file"] = (
                f"what people were told before cannot be read from {self._path} ({_short(error)});"
                " it begins anew, and trouble that is older than this start is not told again."
            )
        return Kept(Told(heard_until=self._wall()))

    async def _save(self) -> None:
        self._dirty = False
        data = msgspec.json.encode(Kept(self.telling.saved, tuple(self.courier.outbox.saved)))
        try:
            await asyncio.to_thread(write_whole, self._path, data)
        except OSError as error:
            # Telling goes on: a full disk is no reason to be silent.
            self._own_alarms["file"] = (
                f"what people were told cannot be written to {self._path} ({_short(error)});"
                " after a restart they may be told again. Make room there."
            )
        else:
            self._own_alarms.pop("file", None)
        finally:
            self._saving = None


def _free(name: str, taken: Mapping[str, object]) -> str:
    """The name, with a number where there is one of that name already."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} ({number})"
    return found


def _short(error: Exception) -> str:
    return getattr(error, "strerror", None) or "it is damaged"
