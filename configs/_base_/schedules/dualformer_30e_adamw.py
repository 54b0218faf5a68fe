# AdamW, and a head that learns ten times as fast as the backbone: the authors' recipe, with the
# numbers of T on Kinetics-400. float16 in training, float32 in tests; gradients are not clipped.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    accumulative_counts=1,
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.02),
    # Only the longest key that a name contains counts: the positional encodings learn as fast as
    # the head, without decay, and norms and biases of the backbone decay with the rest of it. The
    # authors' third key, "norm", has no effect.
    paramwise_cfg=dict(
        custom_keys={'pos_block': dict(decay_mult=0.0), 'backbone': dict(lr_mult=0.1)}
    ),
)

param_scheduler = dict(
    type='uniformer_mm.EpochCosineLR',
    T_max=30,
    warmup=3,
    start_factor=0.1,
    convert_to_iter_based=True,
)

train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=5)
val_cfg = {}
test_cfg = {}

auto_scale_lr = dict(base_batch_size=64)  # videos of an iteration, whatever is accumulated
