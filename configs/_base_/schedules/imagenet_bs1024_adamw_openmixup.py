# OpenMixup's recipe: float32, clipped gradients, lr set every iteration, DPE convolutions and no
# gamma exempt from weight decay, EMA of parameters only. Its published accuracies are those of the
# averaged weights: accuracy/top1 in the log.
# Two slips of its code are not repeated: there stages 3 and 4 train without drop path, and the
# network starts from PyTorch's own initialisation.
_base_ = ['./imagenet_bs1024_adamw_uniformer.py']

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

# The warm-up multiplies a cosine that runs from the first iteration, as in mmcv 1.x.
param_scheduler = dict(lag=0, start_factor=1e-6, convert_to_iter_based=True)

custom_hooks = [dict(_base_.custom_hooks[0], update_buffers=False)]
