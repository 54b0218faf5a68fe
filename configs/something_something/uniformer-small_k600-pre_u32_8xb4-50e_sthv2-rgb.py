_base_ = ['./uniformer-small_k400-pre_u32_8xb4-50e_sthv2-rgb.py']

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 2e-4.
# Weights: https://drive.google.com/file/d/1-dqzjm5RZVspWHQLRD4S1vo4_6jyVltb/view
model = dict(backbone=dict(init_cfg=dict(checkpoint='weights/uniformer_small_k600_16x4.pth')))
