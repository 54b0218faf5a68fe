_base_ = ['./uniformer-small_k400-pre_u16_8xb4-50e_sthv2-rgb.py']

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 2e-4.
# The weights are on Google Drive only: see README.md.
model = dict(backbone=dict(init_cfg=dict(checkpoint='weights/uniformer_small_k600_16x4.pth')))
