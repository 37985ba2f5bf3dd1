"""Sound on another clock at its own pitch: overlapping grains, each set where it fits best."""

import math

import numpy as np


class Stretcher:
    """Plays sound faster or slower, as a clock says, without changing its pitch.

    Waveform-similarity overlap-add: the output is a row of grains that overlap by half. Each is
    taken from where the clock says, moved by at most `search` to where the waveform best continues
    the grain before. Where the clock runs at speed 1 the sound comes out as it went in. A few
    seconds of sound are held, however long it is.

    Args:
        read: callable(start, duration), seconds, to float32 `[n]`: silence where there is none.
        clock: callable(seconds of the output) to seconds of the input, increasing.
        rate: int, Hz.
        grain: float, seconds of a grain.
        search: float, seconds.
        block: float, seconds read at a time.

    Reference:
        Verhelst, Roelands. An overlap-add technique based on waveform similarity (WSOLA) for high
        quality time-scale modification of speech. ICASSP 1993.
    """

    def __init__(self, read, clock, rate, grain=0.04, search=0.01, block=4.0):
        self.read, self.clock, self.rate = read, clock, int(rate)
        self.hop = max(1, round(rate * grain / 2))
        self.reach = round(rate * search)
        self.block = round(rate * block)
        self._base, self._held = 0, np.zeros(0, np.float32)
        self._done = 0  # hops made
        self._centre = self._wanted(0)
        self._rest = np.zeros(0, np.float32)  # made, not yet taken
        across = (np.arange(self.hop) + 0.5) / self.hop
        self._fade = (np.cos(math.pi / 2 * across) ** 2).astype(np.float32)

    def take(self, count):
        """The next `count` samples of the output, float32."""
        parts, have = [self._rest], len(self._rest)
        while have < count:
            parts.append(self._hop())
            have += self.hop
        made = np.concatenate(parts)
        self._rest = made[count:].copy()
        return made[:count]

    def _hop(self):
        """One hop: the second half of a grain fades into the first half of the next."""
        before = self._centre
        self._done += 1
        self._centre = self._next(before + self.hop, self._wanted(self._done))
        fading = self._input(before, self.hop)
        coming = self._input(self._centre - self.hop, self.hop)
        return fading * self._fade + coming * (1.0 - self._fade)

    def _wanted(self, hop):
        return round(float(self.clock(hop * self.hop / self.rate)) * self.rate)

    def _next(self, natural, wanted):
        """The centre of the next grain: near `wanted`, and like the one that would follow."""
        if abs(natural - wanted) <= self.reach:
            return natural  # nothing continues a waveform better than itself
        model = self._input(natural - self.hop, self.hop)
        around = self._input(wanted - self.hop - self.reach, self.hop + 2 * self.reach)
        likeness = np.correlate(around, model, "valid")
        energy = np.concatenate([[0.0], np.cumsum(np.square(around, dtype=np.float64))])
        energy = energy[self.hop :] - energy[: -self.hop]
        likeness = likeness / np.sqrt(np.maximum(energy, 1e-9))
        if likeness.max() <= 1e-6:  # silence fits anywhere
            return wanted
        return wanted - self.reach + int(likeness.argmax())

    def _input(self, start, count):
        """Input samples [start, start + count), from the block that is held if it has them."""
        offset = start - self._base
        if offset < 0 or offset + count > len(self._held):
            # Templates lie a little before the grains that are asked for next.
            self._base = start - 2 * self.hop - self.reach
            length = max(self.block, count + 4 * self.hop)
            held = np.zeros(length, np.float32)
            got = self.read(self._base / self.rate, length / self.rate)[:length]
            held[: len(got)] = got
            self._held, offset = held, start - self._base
        return self._held[offset : offset + count]
