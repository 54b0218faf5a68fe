_base_ = [
    './dualformer-small_in1k-pre_32x2x1_8xb8-30e_kinetics400-rgb.py',
    '../_base_/models/dualformer_token-label.py',
]

# 8 GPUs x 8 videos x 2 = 128 a step; lr = 1e-3, and a tenth of it for the backbone.
model = _base_.token_label
