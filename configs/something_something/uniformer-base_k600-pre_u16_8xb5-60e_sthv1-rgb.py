_base_ = ['./uniformer-base_k400-pre_u16_8xb5-60e_sthv1-rgb.py']

# 8 GPUs x 5 = 40 videos a step, of two clips each; lr = 2.5e-4.
# Drop path is the repository's: the paper has 0.6.
# The weights are on Google Drive only: see README.md.
model = dict(
    backbone=dict(
        drop_path_rate=0.5,
        init_cfg=dict(checkpoint='weights/uniformer_base_k600_16x4.pth'),
    )
)
