_base_ = ['./uniformer-s-g_upernet_8xb2-160k_ade20k-512x512.py']

# 8 GPUs x 2 = 16 images a step, lr = 6e-5.
model = dict(backbone=dict(stage3_style='hybrid', window_size=14))
