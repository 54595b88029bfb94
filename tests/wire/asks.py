"""Requests in the neutral form, such as both dialects can say."""

from __future__ import annotations

from hypothesis import strategies as st

from holdfast.wire.speech import Ask, Sampling, Turn

TEXT = st.text(min_size=1, max_size=20).filter(str.strip)
TURNS = st.lists(TEXT, min_size=1, max_size=7).filter(lambda texts: len(texts) % 2 == 1)
ASKS = st.builds(
    Ask,
    system=st.text(max_size=20),
    turns=TURNS.map(
        lambda texts: tuple(
            Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)
        )
    ),
    sampling=st.builds(
        Sampling,
        max_tokens=st.integers(1, 10**6),
        temperature=st.none() | st.floats(0, 1),
        top_p=st.none() | st.floats(0, 1),
        stop=st.lists(TEXT, max_size=4).map(tuple),
        stream=st.booleans(),
    ),
)
