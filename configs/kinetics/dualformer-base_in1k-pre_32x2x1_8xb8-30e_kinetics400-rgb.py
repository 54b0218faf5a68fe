_base_ = [
    '../_base_/models/dualformer_base.py',
    '../_base_/datasets/kinetics400_32x2.py',
    '../_base_/schedules/dualformer_30e_adamw.py',
    '../_base_/runtimes/video.py',
]

# 8 GPUs x 8 videos x 2 = 128 a step; lr = 1e-3, and a tenth of it for the backbone.
optim_wrapper = dict(accumulative_counts=2, optimizer=dict(weight_decay=0.05))
param_scheduler = dict(warmup=2.5)
