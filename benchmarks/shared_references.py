# SPDX-License-Identifier: GPL-3.0-or-later
"""What the source branch of one edit gave, in memory, for the other rows of the table.

Rows of one method look at the same source with the same noise; they differ in what they make of it.
A row's time is told as if it had made everything itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from torch import Tensor

from engine.guidance.base import Guidance, Reference, WindowStep


@dataclass(frozen=True)
class _Making:
    """One look at the source: what was new after it, and how long it took."""

    names: frozenset[str]
    seconds: float


@dataclass
class SharedReferences:
    """Keeps references of one clip, source prompt, seed, method and schedule.

    Attributes:
        saved_seconds: What reading has saved so far.
    """

    saved_seconds: float = 0.0
    _kept: dict[tuple[int, int], dict[str, Tensor]] = field(default_factory=dict)
    _makings: dict[tuple[int, int], list[_Making]] = field(default_factory=dict)

    def get(
        self,
        guidance: Guidance,
        window_step: WindowStep,
        weights: tuple[float, ...],
        *,
        step: int,
        frame: int,
    ) -> Reference:
        """See `engine.editing.references.References.get`."""
        place = (step, frame)
        known = self._kept.setdefault(place, {})
        start = time.process_time()
        reference = guidance.reference(window_step, weights, dict(known))
        seconds = time.process_time() - start
        made = frozenset(n for n, tensor in reference.items() if known.get(n) is not tensor)
        # What was made anew is no longer read from its earlier making.
        makings = [
            _Making(names, making.seconds)
            for making in self._makings.get(place, [])
            if (names := making.names - made)
        ]
        read = reference.keys() - made
        self.saved_seconds += sum(m.seconds for m in makings if m.names & read)
        if made:
            makings.append(_Making(made, seconds))
            known.update({name: reference[name].detach() for name in made})
        self._makings[place] = makings
        return reference
