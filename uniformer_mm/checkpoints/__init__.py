"""Read weights from every layout they are published in, and load them strictly.

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

Where a file is named, the name of a released one is enough: ``'uniformer_base_in1k'``. Files are
only ever read under the weights-only rule, so that no code in them runs.
"""

from uniformer_mm.errors import CheckpointError

from .class_orders import CLASS_ORDERS, class_order, possible_class_order, reorder_head
from .families import describe_weights
from .fetching import MIRROR, fetch, local_path, resolve
from .integrity import check_file, sha256_of
from .kernels import adapt_stem_weight, inflate_weight, resize_kernel
from .loading import check_head_dim, load_backbone, load_model
from .names import Differences
from .reading import (
    SCHEME,
    drop_program,
    load_file,
    parse_checkpoint,
    read_checkpoint,
    through_safe_reader,
)
from .released import RELEASED, Released, known_head_dim
from .safe import load_weights_only
from .safe_tensors import SAFETENSORS
from .training_state import check_meta
from .weights import Weights
from .writing import save_checkpoint, to_mm, to_official

__all__ = [
    'CLASS_ORDERS',
    'MIRROR',
    'RELEASED',
    'SAFETENSORS',
    'SCHEME',
    'CheckpointError',
    'Differences',
    'Released',
    'Weights',
    'adapt_stem_weight',
    'check_file',
    'check_head_dim',
    'check_meta',
    'class_order',
    'describe_weights',
    'drop_program',
    'fetch',
    'inflate_weight',
    'known_head_dim',
    'load_backbone',
    'load_file',
    'load_model',
    'load_weights_only',
    'local_path',
    'parse_checkpoint',
    'possible_class_order',
    'read_checkpoint',
    'reorder_head',
    'resize_kernel',
    'resolve',
    'save_checkpoint',
    'sha256_of',
    'through_safe_reader',
    'to_mm',
    'to_official',
]
