_base_ = [
    '../_base_/models/uniformer-light_cls.py',
    '../_base_/datasets/imagenet_bs512_uniformer_224_autoaug.py',
    '../_base_/schedules/imagenet_bs4096_adamw_uniformer-light.py',
    '../_base_/runtimes/imagenet.py',
]

# 8 GPUs x 512 = 4096 images a step, lr = 4e-4 x 4096 / 512 = 3.2e-3.
model = dict(backbone=dict(arch='xxs', drop_path_rate=0.0), head=dict(in_channels=448))
optim_wrapper = dict(optimizer=dict(lr=4e-4 * 4096 / 512, weight_decay=0.1))
