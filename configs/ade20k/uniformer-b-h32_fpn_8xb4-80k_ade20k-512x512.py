_base_ = ['./uniformer-b-g_fpn_8xb4-80k_ade20k-512x512.py']

# A test of the weights of uniformer-b-g. Published: mIoU 47.7.
model = dict(backbone=dict(stage3_style='hybrid', window_size=32))
