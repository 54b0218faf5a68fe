_base_ = [
    '../_base_/models/dualformer_small_k400-pre.py',
    '../_base_/datasets/diving48_32x4.py',
    '../_base_/schedules/dualformer_30e_adamw.py',
    '../_base_/runtimes/video.py',
]

# 8 GPUs x 8 = 64 videos a step; lr = 1e-3, and a tenth of it for the backbone. The paper says 16
# epochs; these are the repository's.
model = dict(cls_head=dict(num_classes=48))
param_scheduler = dict(warmup=1)
train_cfg = dict(val_interval=2)
