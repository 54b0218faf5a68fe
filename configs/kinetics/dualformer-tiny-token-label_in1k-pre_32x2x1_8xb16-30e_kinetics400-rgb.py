_base_ = [
    './dualformer-tiny_in1k-pre_32x2x1_8xb8-30e_kinetics400-rgb.py',
    '../_base_/models/dualformer_token-label.py',
]

# 8 GPUs x 16 videos x 2 = 256 a step; lr = 1e-3 as with 64, and a tenth of it for the backbone.
model = _base_.token_label
train_dataloader = dict(batch_size=16)
optim_wrapper = dict(accumulative_counts=2)
auto_scale_lr = dict(base_batch_size=128)
