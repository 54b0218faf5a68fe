_base_ = ['./uniformer-b-g_fpn_8xb4-80k_ade20k-512x512.py']

# A test of the weights of uniformer-b-g. Published: mIoU 47.0 (the authors' repository; the
# paper has 47.2).
model = dict(backbone=dict(stage3_style='window', window_size=32))
