"""Is it an outage, or chance, or a blip? A belief about one segment, turned by each observation.

The belief is the forward filter of a small hidden Markov model in continuous time:

    state    fails   begins (from fine)       lasts (mean)
    -------  -----   ----------------------   ------------
    fine       1 %   –                        –
    blip      90 %   every 4 h or so          40 s
    total     95 %   every 10 days            1.5 h
    half      50 %   every 20 days            1.5 h
    fifth     20 %   every 40 days            1.5 h

Between two observations the states change by themselves, with the length of the gap as it was; each
observation then weighs every state by how well it would have said that. What comes out is the
probability of an outage: the confidence that people are told. As blips are a state of their own, a
burst of failures within seconds convinces nobody, while four failures spread over three minutes do;
there is no window and no count to be set, and one probe a minute, nights without any, and ten calls
a second are all the same filter.

A crowd is less patient than a person: where many calls a second went well, a blip that fails dozens
of them is an outage to those people, and is counted as one.

Source: the forward algorithm (Rabiner 1989, "A tutorial on hidden Markov models", III.A); to decide
by a threshold on this probability is Shiryaev's rule for the quickest detection of a change. Rates
and thresholds were chosen by `python -m bench.detection` on seeds of their own.
"""

from __future__ import annotations

from math import exp

from msgspec import Struct

# So many alike samples at once say all there is to say; more would only lose the numbers' grain.
COUNT_MAX = 100
LEAST = 1e-12
# A pace is learnt from so many samples, and a longer gap is no pace but a pause.
PACE_SHARE = 0.05
PAUSE_S = 60.0


class Expected(Struct, frozen=True, kw_only=True):
    """What is expected of segments. Shares of 1; mean lengths in s; rates in beginnings per s.

    `fine_fails` is a little above what is seen of good providers, so that a worse one does not
    look ill. A blip of `blip_s` is the longest trouble that nobody wants to hear of. Outages of a
    part (`half`, `fifth`) are thought rarer than whole ones: they look more like chance, and a
    belief in them that comes easily comes falsely. Failures within `near_s` of the sample before
    (a client's retries) do not tell an outage from a blip: they are one failure, seen again. Before
    its first sample a segment is thought to have been well `unseen_s` ago: who fails from the start
    is more likely set up wrongly than out. `crowd_pace_s`, `crowd_failed`: with a usual gap between
    samples this short, so many failures in one stretch are an outage however short it is. With less
    of an outage than `rest_outage` (and half as much again as may begin within a gap) and less of a
    blip than `rest_blip`, a good answer puts the belief to rest.
    """

    fine_fails: float = 0.01
    blip_fails: float = 0.9
    total_fails: float = 0.95
    half_fails: float = 0.5
    fifth_fails: float = 0.2
    blip_s: float = 40.0
    outage_s: float = 5400.0
    blip_rate: float = 7.5e-5
    total_rate: float = 1.2e-6
    half_rate: float = 6e-7
    fifth_rate: float = 3e-7
    near_s: float = 10.0
    unseen_s: float = 600.0
    crowd_pace_s: float = 0.5
    crowd_failed: int = 25
    rest_outage: float = 2e-6
    rest_blip: float = 1e-3

    def outage_rate(self) -> float:
        """Beginnings of outages of any sort per second."""
        return self.total_rate + self.half_rate + self.fifth_rate


class Belief(Struct):
    """What is believed about one segment at `wall` (UTC seconds): a share of 1 for each state.

    What is left of 1 is "fine". Not `ill` is at rest: nothing at all speaks against it, and the
    shares are zero. `pace_s` is the usual gap between samples, learnt at rest; `failed` the
    failures since it was last at rest. Plain data: written down and read back, it goes on as if
    nothing had happened.
    """

    wall: float = 0.0
    samples: int = 0
    ill: bool = False
    pace_s: float = PAUSE_S
    failed: int = 0
    blip: float = 0.0
    total: float = 0.0
    half: float = 0.0
    fifth: float = 0.0

    def fine(self) -> float:
        """What is left for "fine": never quite nothing, or no good answer could bring it back."""
        return max(LEAST, 1.0 - self.blip - self.total - self.half - self.fifth)

    def trouble(self) -> float:
        """The probability that it is not fine now: an outage, or a blip."""
        return self.blip + self.total + self.half + self.fifth

    def outage(self, expected: Expected) -> float:
        """The probability of an outage."""
        found = self.total + self.half + self.fifth
        if self.failed >= expected.crowd_failed and self.pace_s <= expected.crowd_pace_s:
            return found + self.blip
        return found

    def forget(self) -> None:
        """Put it to rest: what was seen counts for nothing any more."""
        self.failed = 0
        self.ill = False
        self.blip = self.total = self.half = self.fifth = 0.0

    def feed(self, expected: Expected, wall: float, *, ok: bool, count: int = 1) -> None:
        """Turn the belief by `count` alike samples at `wall`. A clock set back counts as no gap."""
        gap_s = max(0.0, wall - self.wall) if self.samples else expected.unseen_s
        self.wall = wall
        self.samples += count
        if ok and not self.ill:
            self.pace_s += PACE_SHARE * (min(gap_s, PAUSE_S) / count - self.pace_s)
            return
        if not ok:
            self.failed += count
            self.ill = True
        self._pass(expected, gap_s)
        self._weigh(expected, ok=ok, count=min(count, COUNT_MAX), near=gap_s < expected.near_s)
        if (
            ok
            and self.blip < expected.rest_blip
            and self.total + self.half + self.fifth
            < expected.rest_outage + 1.5 * min(gap_s, PAUSE_S) * expected.outage_rate()
        ):
            self.forget()

    def _pass(self, expected: Expected, gap_s: float) -> None:
        """What time alone does: fine falls ill, the rest becomes fine.

        Two-state chains (fine and one other) solved exactly, side by side: of two changes within
        one gap only those of the same pair are thought of, which is exact enough while troubles
        are rare.
        """
        stays_blip = exp(-gap_s / expected.blip_s)
        stays_out = exp(-gap_s / expected.outage_s)
        fine = self.fine()
        fallen = fine * (1.0 - stays_out) * expected.outage_s
        self.blip = (
            self.blip * stays_blip
            + fine * (1.0 - stays_blip) * expected.blip_s * expected.blip_rate
        )
        self.total = self.total * stays_out + fallen * expected.total_rate
        self.half = self.half * stays_out + fallen * expected.half_rate
        self.fifth = self.fifth * stays_out + fallen * expected.fifth_rate

    def _weigh(self, expected: Expected, *, ok: bool, count: int, near: bool) -> None:
        """Bayes: each state by how likely it made these samples."""
        fine = self.fine()
        fine *= _likely(expected.fine_fails, ok=ok) ** count
        blip_fails = expected.total_fails if near and not ok else expected.blip_fails
        blip = self.blip * _likely(blip_fails, ok=ok) ** count
        total = self.total * _likely(expected.total_fails, ok=ok) ** count
        half = self.half * _likely(expected.half_fails, ok=ok) ** count
        fifth = self.fifth * _likely(expected.fifth_fails, ok=ok) ** count
        all_of_it = fine + blip + total + half + fifth
        self.blip = blip / all_of_it
        self.total = total / all_of_it
        self.half = half / all_of_it
        self.fifth = fifth / all_of_it


def _likely(fails: float, *, ok: bool) -> float:
    return 1.0 - fails if ok else fails


def moved(probability: float, times: float) -> float:
    """A probability whose odds have become `times` as high."""
    odds = probability * times
    return odds / (odds + 1.0 - probability) if odds > 0.0 else 0.0
