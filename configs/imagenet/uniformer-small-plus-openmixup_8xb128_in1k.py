_base_ = [
    '../_base_/models/uniformer_cls.py',
    '../_base_/datasets/imagenet_bs128_uniformer_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_openmixup.py',
    '../_base_/runtimes/imagenet.py',
]

# OpenMixup's S-dagger: layer scale in every block.
# 8 GPUs x 128 = 1024 images a step, lr = 5e-4 x 1024 / 512 = 1e-3.
model = dict(backbone=dict(arch='small_plus', layer_scale_init_value=1e-6))

# Its patterns of names miss the BatchNorms of the embeddings, whose weights are decayed.
decayed = dict(decay_mult=1.0)
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'patch_embed1.proj.1.weight': decayed,
            'patch_embed1.proj.4.weight': decayed,
            'patch_embed2.proj.1.weight': decayed,
            'patch_embed3.proj.1.weight': decayed,
            'patch_embed4.proj.1.weight': decayed,
        }
    )
)
