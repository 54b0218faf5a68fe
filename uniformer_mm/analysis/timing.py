"""Times of runs on a machine that others use too."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def measure_times(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each run, which is warm, over interleaved rounds."""
    times: dict[str, list[float]] = {way: [] for way in runs}
    for _ in range(rounds):
        for way, run in runs.items():
            start = time.perf_counter()
            run()
            times[way].append(time.perf_counter() - start)
    return {way: statistics.median(values) for way, values in times.items()}
