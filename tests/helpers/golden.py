"""Comparison with what the original networks gave."""

import torch
from seeded_weights import summarise
from torch import Tensor

TOLERANCE = 1e-9


def assert_matches(output: Tensor, golden: dict, what: str) -> None:
    """Compare shape, moments and samples relative to the largest entry."""
    found = summarise(output)
    assert found['shape'] == golden['shape'], what
    scale = golden['absmax']
    for moment in ('mean', 'std', 'absmax'):
        assert abs(found[moment] - golden[moment]) <= TOLERANCE * scale, f'{what}: {moment}'
    # Samples are stored with 12 decimals.
    error = (torch.tensor(found['samples']) - torch.tensor(golden['samples'])).abs().max()
    assert error <= TOLERANCE * scale + 1e-12, f'{what}: {error / scale:.1e} relative'
