_base_ = [
    '../_base_/models/upernet_uniformer.py',
    '../_base_/mini/ade20k_digits.py',
    '../_base_/schedules/ade20k_160k_adamw.py',
]

# The paper's UperNet on handwritten digits, from the weights of the classification demo. Only
# data, size and schedule differ, and what their scale asks for.
data_preprocessor = dict(size=_base_.digits_size)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=_base_.digits_backbone,
    decode_head=dict(in_channels=[32, 64, 128, 256], channels=64),
    auxiliary_head=dict(in_channels=128, channels=32),
)

optim_wrapper = dict(optimizer=dict(lr=3e-4))
train_cfg = dict(max_iters=900, val_interval=150)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=51),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=901),
]
auto_scale_lr = dict(base_batch_size=8)
