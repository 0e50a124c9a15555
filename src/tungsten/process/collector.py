"""Collections of garbage that stay short, however much a process holds.

Python looks at every container that has lived for long when it collects its oldest generation,
and does nothing else meanwhile. With a large configuration that is a tenth of a second and more.
What has just survived such a collection is in use, and mostly will be: it is set aside
(``gc.freeze``), and later collections look at what has come since. An object set aside is still
freed when its last user lets go of it; only a cycle among such objects is not found any more.
"""

from __future__ import annotations

import gc
import time

#: Seconds that a collection may take before what it looked at is set aside.
LONGEST = 0.01
_OLDEST = 2


class ShortCollections:
    """A watcher of collections (``gc.callbacks``)."""

    def __init__(self, longest: float = LONGEST) -> None:
        self.longest = longest
        self._began = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """A collection begins or has ended."""
        if phase == "start":
            self._began = time.perf_counter()
        elif info["generation"] == _OLDEST and time.perf_counter() - self._began > self.longest:
            gc.freeze()


def keep_collections_short() -> None:
    """Watch the collections of this process from now on."""
    if not any(isinstance(each, ShortCollections) for each in gc.callbacks):
        gc.callbacks.append(ShortCollections())
