# 300 epochs of AdamW at a global batch of 1024: the authors' plain ImageNet recipe.
optim_wrapper = dict(
    type='AmpOptimWrapper',  # float16, dynamic loss scale, no gradient clipping
    optimizer=dict(
        type='AdamW',
        lr=5e-4 * 1024 / 512,
        weight_decay=0.05,
        eps=1e-8,
        betas=(0.9, 0.999),
    ),
    # timm's split: biases and 1-D parameters are free, the DPE convolutions are decayed.
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)

# Warm-up start and floor are absolute. The authors' script is one epoch late: lag=1.
param_scheduler = dict(
    type='uniformer_mm.WarmupCosineLR',
    T_max=300,
    warmup=5,
    warmup_lr=1e-6,
    eta_min=1e-5,
    lag=1,
)

train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = {}
test_cfg = {}

auto_scale_lr = dict(base_batch_size=1024)

# Decay 0.99996 over weights and BatchNorm statistics, from the first step on. Published accuracies
# are those of the raw weights: accuracy/top1_origin in the log, ema_state_dict in a checkpoint.
custom_hooks = [
    dict(
        type='uniformer_mm.WarmupEMAHook',
        momentum=4e-5,
        update_buffers=True,
        evaluate_on_ema=True,
        evaluate_on_origin=True,
        priority='ABOVE_NORMAL',
    )
]
