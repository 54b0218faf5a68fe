"""Training with token labels that a teacher gives to the clips of every batch.

This module imports mmaction; the registry imports it as soon as a config asks for its type.
"""

from __future__ import annotations

from typing import Any

import torch
from mmaction.models import Recognizer3D
from mmengine.logging import print_log
from torch import Tensor

from uniformer_mm.checkpoints import CheckpointError, load_file, load_model, resolve
from uniformer_mm.registry import MODELS

from ..heads.token_label3d import TokenLabelHead3D


class Teacher(Recognizer3D):
    """A trained recognizer that classifies every token of its last map; it is never changed.

    Args:
        backbone (dict): A network that gives one map; ``init_cfg`` in it is not read.
        cls_head (dict): A head with a linear classifier ``fc_cls`` of the map's mean.
        checkpoint (str): Weights of both, loaded strictly.

    Raises:
        CheckpointError: If they cannot be read or do not fit.
    """

    def __init__(self, backbone: dict[str, Any], cls_head: dict[str, Any], checkpoint: str) -> None:
        super().__init__(backbone, cls_head=cls_head)
        try:
            load_model(self, load_file(resolve(checkpoint)), checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f'model.teacher of token labelling: {error}') from error
        self.eval().requires_grad_(False)

    def __deepcopy__(self, memo: dict) -> Teacher:
        # Copies of a student learn from the same teacher.
        return self

    @torch.no_grad()
    def label(self, clips: Tensor) -> Tensor:
        """Logits of every token: (B, N, C, T, H, W), N clips each -> (B * N, T', H', W', K)."""
        feats, _ = self.extract_feat(clips)
        return self.cls_head.fc_cls(feats.permute(0, 2, 3, 4, 1))


@MODELS.register_module()
class TokenLabelRecognizer3D(Recognizer3D):
    """MMAction2's ``Recognizer3D`` with a teacher that labels the tokens of every training clip.

    The teacher sees the same clips, augmented and blended as the student's. It is made and loaded
    by :meth:`init_weights`, so training alone needs its file; a test knows nothing of it. No
    modes, initialisers, optimizers or checkpoints reach it, for it is no submodule:

    * it stays in eval mode, without gradients, whatever ``train()`` is called on the model;
    * optimizer, ``DistributedDataParallel``, ``EMAHook`` and the conversion of BatchNorms see the
      student's parameters and buffers only; each process reads the teacher's file;
    * checkpoints are saved, loaded strictly and resumed without it;
    * a copy of the model shares it;
    * it follows the clips to their device and type, and runs in mixed precision where the student
      does.

    In the original code the teacher is a submodule: ``train()`` lets it drop features and update
    its statistics, and every checkpoint holds it.

    Args:
        backbone (dict): The student's network, which gives one map.
        cls_head (dict): A ``TokenLabelHead3D``.
        teacher (dict): ``backbone``, ``cls_head`` and ``checkpoint`` of a recognizer with the same
            classes, numbered alike. Its ``fc_cls`` classifies each token of its last map.
        train_cfg (dict, optional): As in ``Recognizer3D``.
        test_cfg (dict, optional): Likewise.
        data_preprocessor (dict, optional): Likewise.

    Raises:
        ValueError: If the head is another one.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        cls_head: dict[str, Any],
        teacher: dict[str, Any],
        train_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            backbone,
            cls_head=cls_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
        )
        if not isinstance(self.cls_head, TokenLabelHead3D):
            raise ValueError(
                "TokenLabelRecognizer3D needs cls_head=dict(type='uniformer_mm.TokenLabelHead3D', "
                f'...), which classifies tokens; got {type(self.cls_head).__name__}.'
            )
        self.teacher_cfg = teacher
        self._teacher: tuple[Teacher, ...] = ()  # what is in a tuple is no submodule

    @property
    def teacher(self) -> Teacher:
        """The frozen teacher.

        Raises:
            RuntimeError: If the weights were not initialised yet.
        """
        if not self._teacher:
            raise RuntimeError('There is no teacher before init_weights(), which loads it.')
        return self._teacher[0]

    def init_weights(self) -> None:
        """Initialise the student, and load the teacher.

        Raises:
            CheckpointError: If weights cannot be read or do not fit.
        """
        super().init_weights()
        if not self._teacher:
            self._teacher = (Teacher(**self.teacher_cfg),)
            print_log(f'The teacher is {self.teacher_cfg["checkpoint"]}.', logger='current')

    def loss(self, inputs: Tensor, data_samples: list, **kwargs: Any) -> dict[str, Tensor]:
        """Losses of a batch (B, N, C, T, H, W), of N clips each."""
        # The teacher goes first: its activations are gone when the student's are kept.
        teacher_logits = self.teacher.to(inputs).label(inputs)
        feats, _ = self.extract_feat(inputs, data_samples=data_samples)
        return self.cls_head.loss(feats, data_samples, teacher_logits=teacher_logits)
