_base_ = [
    '../_base_/models/uniformer-light_cls.py',
    '../_base_/datasets/imagenet_bs512_uniformer_224.py',
    '../_base_/schedules/imagenet_bs4096_adamw_uniformer-light.py',
    '../_base_/runtimes/imagenet.py',
]

# 8 GPUs x 512 = 4096 images a step, lr = 5e-4 x 4096 / 512 = 4e-3.
