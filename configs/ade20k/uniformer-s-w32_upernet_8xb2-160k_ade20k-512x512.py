_base_ = ['./uniformer-s-g_upernet_8xb2-160k_ade20k-512x512.py']

# A test of the weights of uniformer-s-g. Published: mIoU 46.6, multi-scale 48.4.
model = dict(backbone=dict(stage3_style='window', window_size=32))
