# SPDX-License-Identifier: GPL-3.0-or-later
"""Model calls side by side in threads, on a CPU (torch, never bpy).

One small call on several threads meets in every layer, and waits there for the slowest: two threads
are 1.3 times as fast as one, and many times slower on a busy machine. Two calls of one thread each
meet once, at their end, and are 1.8 times as fast (demo backbone, two cores). Each call is the
same arithmetic as alone, so no number depends on how many run at a time.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from torch import nn

Item = TypeVar("Item")
Result = TypeVar("Result")

_thread = threading.local()


class Threads:
    """Some threads that work through items.

    Args:
        count: How many; 1: none, the caller's own thread does all the work.
    """

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, initializer=_enter) if count > 1 else None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The function's results in the order of the items.

        At most one item more than there are threads is under way or waits, so a long clip needs no
        more memory than a short one. When the caller stops, or an item's call raises, the others
        under way are waited for.
        """
        if self._pool is None:
            yield from map(function, items)
            return
        under_way: deque[Future[Result]] = deque()
        try:
            for item in items:
                under_way.append(self._pool.submit(function, item))
                if len(under_way) > self.count:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
            wait(under_way)


def split_threads(threads: int, calls: int) -> tuple[int, int]:
    """How many calls to make at a time, and how many threads each of them has.

    Args:
        threads: Of the job, at least 1.
        calls: How many calls there are to share them, at least 1.
    """
    at_a_time = min(threads, calls)
    return at_a_time, threads // at_a_time


class OwnModules:
    """A module, and for each of our threads its own copy of it, over the same weights.

    Hooks, attention processors and replaced methods belong to module objects, so a thread that
    watches or changes a pass meets no other thread's.

    Args:
        module: Frozen.
    """

    # Any: of classes of diffusers that pyright cannot follow.
    def __init__(self, module: Any) -> None:
        self._module = module
        self._copies = threading.local()

    def get(self) -> Any:
        """The calling thread's; outside of `Threads` the module itself."""
        if not getattr(_thread, "is_ours", False):
            return self._module
        if not hasattr(self._copies, "module"):
            self._copies.module = _copy(self._module)
        return self._copies.module


def _enter() -> None:
    _thread.is_ours = True


def _copy(module: nn.Module) -> nn.Module:
    """Other module objects over the same weights; hooks of the moment are not taken along."""
    weights = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(weight): weight for weight in weights})
