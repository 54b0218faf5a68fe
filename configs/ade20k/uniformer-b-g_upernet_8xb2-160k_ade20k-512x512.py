_base_ = ['./uniformer-s-g_upernet_8xb2-160k_ade20k-512x512.py']

# 8 GPUs x 2 = 16 images a step, lr = 6e-5.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.4,
        with_cp=(0, 0, 2, 0),
        init_cfg=dict(checkpoint='uniformer_base_in1k'),
    )
)
