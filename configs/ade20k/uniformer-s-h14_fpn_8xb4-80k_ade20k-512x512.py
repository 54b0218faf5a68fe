_base_ = ['./uniformer-s-g_fpn_8xb4-80k_ade20k-512x512.py']

# 8 GPUs x 4 = 32 images a step, lr = 2e-4.
model = dict(backbone=dict(stage3_style='hybrid', window_size=14))
