_base_ = ['./uniformer-b-g_fpn_8xb4-80k_ade20k-512x512.py']

# Trains global; evaluates in windows of 32, which is the stage-3 map of a training crop: a test of
# the weights of uniformer-b-g.
model = dict(backbone=dict(eval_stage3_style='hybrid', eval_window_size=32))
