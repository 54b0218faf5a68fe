# 600 epochs of AdamW at a global batch of 4096: the authors' recipe of XS. XXS has another rate and
# decay.
_base_ = ['./imagenet_bs1024_adamw_uniformer.py']

optim_wrapper = dict(
    type='OptimWrapper',  # float32: the authors met NaN in mixed precision
    optimizer=dict(lr=5e-4 * 4096 / 512),
    paramwise_cfg=dict(custom_keys=dict(cls_token=dict(decay_mult=0.0))),
)

# One epoch late as well: lag=1 is that of the base.
param_scheduler = dict(T_max=600, warmup=30)

train_cfg = dict(max_epochs=600)

auto_scale_lr = dict(base_batch_size=4096)

# Decay 0.9999.
custom_hooks = [dict(_base_.custom_hooks[0], momentum=1e-4)]
