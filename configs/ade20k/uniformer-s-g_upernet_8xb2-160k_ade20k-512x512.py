_base_ = [
    '../_base_/models/upernet_uniformer.py',
    '../_base_/datasets/ade20k_512x512.py',
    '../_base_/schedules/ade20k_160k_adamw.py',
    '../_base_/runtimes/ade20k.py',
]

# 8 GPUs x 2 = 16 images a step, lr = 6e-5.
model = dict(
    backbone=dict(
        stage3_style='global',
        drop_path_rate=0.25,
        init_cfg=dict(type='Pretrained', checkpoint='uniformer_small_in1k'),
    )
)
train_dataloader = dict(batch_size=2)
default_hooks = dict(checkpoint=dict(interval=16000))
