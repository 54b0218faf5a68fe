_base_ = ['./uniformer-s-g_fpn_8xb4-80k_ade20k-512x512.py']

# A test of the weights of uniformer-s-g. Published: mIoU 45.6 (the authors' repository; the
# paper has 45.2).
model = dict(backbone=dict(stage3_style='window', window_size=32))
