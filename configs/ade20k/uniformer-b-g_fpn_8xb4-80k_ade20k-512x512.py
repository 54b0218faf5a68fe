_base_ = ['./uniformer-s-g_fpn_8xb4-80k_ade20k-512x512.py']

# 8 GPUs x 4 = 32 images a step, lr = 2e-4.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint='uniformer_base_in1k'),
    )
)
