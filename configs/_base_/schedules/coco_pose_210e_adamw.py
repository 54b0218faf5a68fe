# AdamW at 1024 people a step, for the 210 epochs of the runtime. float16 as the authors trained;
# tools/train.py --amp bf16 takes bfloat16. Weight decay is on every parameter: nothing is exempt.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.01),
)
# 500 iterations of warm-up: LinearLR is at its end value one iteration before `end`.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=501),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=210, milestones=[170, 200], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=1024)
