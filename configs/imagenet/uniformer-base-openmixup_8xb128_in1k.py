_base_ = [
    '../_base_/models/uniformer_cls.py',
    '../_base_/datasets/imagenet_bs128_uniformer_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_openmixup.py',
    '../_base_/runtimes/imagenet.py',
]

# OpenMixup's B: layer scale in every block, where the authors' has it in two stages.
# 8 GPUs x 128 = 1024 images a step, lr = 4e-4 x 1024 / 512 = 8e-4.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        layer_scale_init_value=1e-6,
        patch_norm_eps=1e-6,
    )
)
optim_wrapper = dict(optimizer=dict(lr=4e-4 * 1024 / 512))
