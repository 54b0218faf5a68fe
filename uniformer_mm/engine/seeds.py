"""Random numbers that do not depend on what was drawn before."""

import random

import numpy as np
import torch


def derive_seed(seed: int, *numbers: int) -> int:
    """A 31-bit seed, unrelated for neighbouring epochs, iterations and ranks."""
    return int(np.random.SeedSequence([seed, *numbers]).generate_state(1)[0] >> 1)


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # every device
