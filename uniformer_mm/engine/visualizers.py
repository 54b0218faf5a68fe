"""Drawing poses with any NumPy.

This module imports mmpose; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.dist import master_only
from mmpose.visualization import PoseLocalVisualizer as MMPoseLocalVisualizer

from uniformer_mm.registry import VISUALIZERS


@VISUALIZERS.register_module()
class PoseLocalVisualizer(MMPoseLocalVisualizer):
    """mmpose's ``PoseLocalVisualizer``, which draws keypoints with NumPy 2.4 too.

    mmpose 1.3.2 hands ``np.array([radius])`` to ``draw_circles``, which takes ``int`` of it. NumPy
    2.4 made an error of what was a deprecated conversion.

    Args:
        *args, **kwargs: Those of mmpose's visualizer.
    """

    @master_only
    def draw_circles(self, center: np.ndarray, radius: Any, *args: Any, **kwargs: Any) -> None:
        if self.backend == 'opencv':
            radius = np.asarray(radius).item()
        super().draw_circles(center, radius, *args, **kwargs)
