"""Read UniFormer weights from every layout they are published in, and load them strictly.

============  ====================================================================================
layout        what the file holds
============  ====================================================================================
official      names such as ``blocks1.0.norm1.weight`` and ``head.weight``, bare or under
              ``model``, ``state_dict`` or ``model_state``; averaged weights under ``model_ema`` or
              ``state_dict_ema``; any ``module.`` prefix; training arguments beside them
mm            ``state_dict`` with official names below ``backbone.`` and the heads of a model of an
              OpenMMLab library, from training, :func:`to_mm` or the authors' dense training
openmixup     as mm, with OpenMixup's names (``projection``, ``ffn``, ``bn1``, ``ln1``, ``norm3``)
============  ====================================================================================

Files are only ever read under the weights-only rule, so that no code in them runs.
"""

from .architecture import Architecture, known_head_dim
from .errors import CheckpointError
from .inflation import inflate_weight
from .kinetics import CLASS_ORDERS, class_order, known_class_order, reorder_head
from .loading import adapt_stem_weight, check_head_dim, load_backbone
from .names import Differences
from .reading import Weights, check_file, parse_checkpoint, read_checkpoint
from .writing import describe_weights, save_checkpoint, sha256_of, to_mm, to_official

__all__ = [
    'CLASS_ORDERS',
    'Architecture',
    'CheckpointError',
    'Differences',
    'Weights',
    'adapt_stem_weight',
    'check_file',
    'check_head_dim',
    'class_order',
    'describe_weights',
    'inflate_weight',
    'known_class_order',
    'known_head_dim',
    'load_backbone',
    'parse_checkpoint',
    'read_checkpoint',
    'reorder_head',
    'save_checkpoint',
    'sha256_of',
    'to_mm',
    'to_official',
]
