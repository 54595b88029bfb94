"""How long outages of AI services have lasted: published history, for those who have none yet.

Kaplan and Meier's estimate over 688 incidents that the status pages of four services declared
resolved before 2025-02 (372 OpenAI, 189 Anthropic, 71 Stability AI, 56 Character.AI; longer than
0 and shorter than 7 days, maintenance left out), after the incident records behind the study
"An Empirical Characterization of Outages and Incidents in Public Services for Large Language
Models" (ICPE 2025, arXiv 2501.12469). It is the pages' time: they say "resolved" half an hour to
40 minutes (median) after they say that a fix is in. Which service, which impact the page states
and at which stage it is told nothing more that could be measured, so none of them is asked.
"""

from __future__ import annotations

from typing import Final

from holdfast.core.survival import Survival

# Minutes, and the share of the incidents still open then.
STILL_OPEN: Final = (
    (1.0, 0.9971), (3.0, 0.9884), (5.0, 0.9680), (7.0, 0.9535), (10.0, 0.9346), (12.0, 0.9099),
    (15.0, 0.8779), (20.0, 0.8125), (25.0, 0.7703), (30.0, 0.7297), (40.0, 0.6526), (50.0, 0.6047),
    (60.0, 0.5567), (75.0, 0.4753), (90.0, 0.4142), (105.0, 0.3735), (120.0, 0.3299),
    (150.0, 0.2834), (180.0, 0.2340), (210.0, 0.1948), (240.0, 0.1701), (300.0, 0.1206),
    (360.0, 0.0901), (420.0, 0.0741), (480.0, 0.0625), (600.0, 0.0523), (720.0, 0.0480),
    (960.0, 0.0392), (1200.0, 0.0320), (1440.0, 0.0233), (2160.0, 0.0087), (2880.0, 0.0044),
    (4320.0, 0.0029),
)  # fmt: skip
# Behind the last knot two incidents are left, which tell nothing. The index is Hill's estimate
# (1975, Ann. Stat. 3, 1163) over the 43 that lasted more than 8 h: the mean of ln(t / 480) there
# is 0.92. So the time to go grows in proportion to what has elapsed.
TAIL: Final = 1.1
# Beyond this there are too few to speak of an estimate.
USEFUL_MIN: Final = 480.0

POOLED: Final = Survival(STILL_OPEN, TAIL)
