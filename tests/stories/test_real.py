"""Every story on real sockets: the data plane, providers and clients on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stories.laws import replays, wrong_answer
from tests.stories.sockets import tell
from tests.stories.tellings import TELLINGS, Telling, nothing_amiss


@pytest.mark.parametrize("telling", TELLINGS, ids=lambda telling: telling.name)
def test_the_promise_is_kept_on_real_sockets(telling: Telling, tmp_path: Path) -> None:
    """The same stories and the same expectations as in invented time."""
    night = tell(telling)
    assert [wrong for told in night.told if (wrong := wrong_answer(told))] == []
    nothing_amiss(night)
    telling.check(night)
    replays(night, tmp_path)
