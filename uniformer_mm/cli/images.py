"""A look at image files before a run loads them."""

from __future__ import annotations

from mmengine.config import Config

from .files import datasets_of
from .runtime import LOADERS, type_name

_LOADING = ('LoadImageFromFile', 'LoadImage')
_CHECK = 'uniformer_mm.CheckImageFile'


def add_image_checks(cfg: Config, splits: tuple[str, ...]) -> None:
    """Put ``CheckImageFile`` in front of the step of each pipeline that loads images.

    Args:
        cfg: The config.
        splits: Those of train, val, test that will be used.
    """
    for split in splits:
        loader = cfg.get(LOADERS[split])
        for dataset in datasets_of(loader.dataset if loader else None):
            steps = list(dataset.get('pipeline') or [])
            kinds = [type_name(step) for step in steps]
            places = [place for place, kind in enumerate(kinds) if kind in _LOADING]
            if places and 'CheckImageFile' not in kinds:
                dataset['pipeline'] = [*steps[: places[0]], dict(type=_CHECK), *steps[places[0] :]]
