"""What the tools share that draw curves."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

GREY = '#8c8c8c'


def new_figure(panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of some panels side by side, and the panels."""
    plt.rcParams.update({'font.size': 11, 'axes.spines.top': False, 'axes.spines.right': False})
    figure, axes = plt.subplots(
        1, panels, figsize=(6 * panels, 4.5), layout='constrained', squeeze=False
    )
    return figure, list(axes[0])


def save(figure: Figure, out: Path) -> None:
    """Write a figure; its folder is made."""
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)
    plt.close(figure)
