_base_ = ['./uniformer-b-g_upernet_8xb2-160k_ade20k-512x512.py']

# A test of the weights of uniformer-b-g. Published: mIoU 49.5, multi-scale 50.7.
model = dict(backbone=dict(stage3_style='hybrid', window_size=32))
