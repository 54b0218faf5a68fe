# AdamW and one cosine, set every iteration: the authors' video recipe, with the numbers of
# Kinetics-400 at 32 videos a step. float16 in training, float32 in tests.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    # Biases, norms and other 1-D parameters are free, the position convolutions are decayed.
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
    clip_grad=dict(max_norm=20),
)

param_scheduler = dict(
    type='uniformer_mm.WarmupCosineLR',
    T_max=110,
    warmup=10,
    warmup_lr=1e-6,
    eta_min=1e-6,
    after_warmup=True,
    convert_to_iter_based=True,
)

train_cfg = dict(by_epoch=True, max_epochs=110, val_interval=1)
val_cfg = {}
test_cfg = {}

auto_scale_lr = dict(base_batch_size=32)  # videos, each of which gives two clips
