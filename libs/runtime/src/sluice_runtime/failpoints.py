"""Named places at which a test may kill the process, as a power cut would: no cleanup, no flush.

`SLUICE_FAILPOINTS` holds `name=probability` pairs separated by commas, and `SLUICE_FAILPOINT_SEED` the seed; without
the variable a failpoint costs one dictionary look-up in an empty dictionary.
"""

from __future__ import annotations

import os
import random
import signal


class Failpoints:
    """The failpoints of one process."""

    def __init__(self, probabilities: dict[str, float], seed: int | None = None) -> None:
        self._probabilities = probabilities
        self._random = random.Random(seed)

    @classmethod
    def from_environment(cls) -> Failpoints:
        """Read the failpoints that the environment arms.

        Raises ValueError when `SLUICE_FAILPOINTS` cannot be read.
        """
        probabilities = {}
        for pair in filter(None, os.environ.get("SLUICE_FAILPOINTS", "").split(",")):
            name, separator, probability = pair.partition("=")
            if not separator:
                raise ValueError(f"SLUICE_FAILPOINTS: {pair!r} is not name=probability")
            probabilities[name.strip()] = float(probability)
        seed = os.environ.get("SLUICE_FAILPOINT_SEED")
        return cls(probabilities, int(seed) ^ os.getpid() if seed else None)

    def reach(self, name: str) -> None:
        """Kill this process with SIGKILL if `name` is armed and the dice say so."""
        probability = self._probabilities.get(name)
        if probability is not None and self._random.random() < probability:
            os.kill(os.getpid(), signal.SIGKILL)


FAILPOINTS = Failpoints.from_environment()
