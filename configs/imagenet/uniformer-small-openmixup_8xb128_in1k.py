_base_ = [
    '../_base_/models/uniformer_cls.py',
    '../_base_/datasets/imagenet_bs128_uniformer_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_openmixup.py',
    '../_base_/runtimes/imagenet.py',
]

# OpenMixup's S: layer scale in every block. Its own script (uniformer_small_8xb128_fp16_ep300.py)
# has mixed precision, no clipping, gammas exempt from weight decay and 20 epochs of warm-up.
# 8 GPUs x 128 = 1024 images a step, lr = 5e-4 x 1024 / 512 = 1e-3.
model = dict(backbone=dict(layer_scale_init_value=1e-6, patch_norm_eps=1e-6))

optim_wrapper = dict(
    type='AmpOptimWrapper',
    clip_grad=None,
    paramwise_cfg=dict(custom_keys=dict(gamma=dict(decay_mult=0.0))),
)
param_scheduler = dict(warmup=20)
