"""Image folders with a label map for each image.

This module imports mmpretrain; the registry imports it as soon as a config asks for its types.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmpretrain.datasets import CustomDataset, ImageNet

from uniformer_mm.errors import UserError
from uniformer_mm.registry import DATASETS


class _LabelMaps:
    """Mixin for mmpretrain's data sets that adds ``token_label_path`` to each sample.

    The map of ``<folder of images>/n01440764/x.JPEG`` is ``<label_root>/n01440764/x.pt``. All maps
    must be there when the data set is loaded.

    Args:
        label_root (str): Folder of the maps.
    """

    def __init__(self, *args: Any, label_root: str, **kwargs: Any) -> None:
        self.label_root = Path(label_root)
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        data_list = super().load_data_list()
        for info in data_list:
            name, _, _ = info['img_path'].removeprefix(self.img_prefix).rpartition('.')
            info['token_label_path'] = f'{self.label_root}/{name.lstrip("/")}.pt'
        folders = os.walk(self.label_root, followlinks=True)
        found = {f'{folder}/{name}' for folder, _, names in folders for name in names}
        missing = [info for info in data_list if info['token_label_path'] not in found]
        if missing:
            raise UserError(
                f'{len(missing)} of {len(data_list)} images have no label map: there is no '
                f'{missing[0]["token_label_path"]} for {missing[0]["img_path"]}. '
                'tools/data/make_label_maps.py makes label maps (docs/data.md).'
            )
        return data_list


@DATASETS.register_module()
class TokenLabelDataset(_LabelMaps, CustomDataset):
    """mmpretrain's ``CustomDataset`` with label maps.

    Args:
        label_root (str): Folder of the maps.
        *args, **kwargs: Those of ``CustomDataset``.

    Raises:
        UserError: If an image has no label map.
    """


@DATASETS.register_module()
class TokenLabelImageNet(_LabelMaps, ImageNet):
    """mmpretrain's ``ImageNet`` with label maps, with the arguments of :class:`TokenLabelDataset`
    and of ``ImageNet``."""
