_base_ = ['./uniformer-small_8xb128_in1k.py']

# OpenMixup's model and recipe: layer scale in every block, float32, clipped gradients, lr set every
# iteration, DPE convolutions and no gamma exempt from weight decay, EMA of parameters only.
# Two slips of its code are not repeated, both without published weights to match: there stages 3
# and 4 train without drop path, and the network starts from PyTorch's own initialisation.
# 8 GPUs x 128 = 1024 images a step, lr = 5e-4 x 1024 / 512 = 1e-3.
model = dict(backbone=dict(arch='tiny'), head=dict(in_channels=256))

optim_wrapper = dict(
    type='OptimWrapper',
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        _delete_=True,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(pos_embed=dict(decay_mult=0.0)),
    ),
)

# The warm-up scales a cosine that runs from the first iteration, as in mmcv 1.x.
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-6,
        by_epoch=True,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        by_epoch=True,
        T_max=300,
        convert_to_iter_based=True,
    ),
]

custom_hooks = [dict(_base_.custom_hooks[0], update_buffers=False)]
