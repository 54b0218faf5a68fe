_base_ = [
    '../_base_/models/uniformer_cls.py',
    '../_base_/datasets/imagenet_bs128_uniformer_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_openmixup.py',
    '../_base_/runtimes/imagenet.py',
]

# OpenMixup's model, with layer scale in every block.
# 8 GPUs x 128 = 1024 images a step, lr = 5e-4 x 1024 / 512 = 1e-3.
model = dict(backbone=dict(arch='tiny'), head=dict(in_channels=256))
