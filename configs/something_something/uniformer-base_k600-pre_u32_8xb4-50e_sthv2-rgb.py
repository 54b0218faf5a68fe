_base_ = ['./uniformer-base_k400-pre_u32_8xb4-50e_sthv2-rgb.py']

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 2e-4.
# Drop path is the repository's: the paper has 0.6.
# The weights are on Google Drive only: see README.md.
model = dict(backbone=dict(init_cfg=dict(checkpoint='weights/uniformer_base_k600_16x4.pth')))
