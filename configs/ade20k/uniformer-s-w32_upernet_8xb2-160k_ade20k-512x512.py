_base_ = ['./uniformer-s-g_upernet_8xb2-160k_ade20k-512x512.py']

# Trains global; evaluates in windows of 32, which is the stage-3 map of a training crop: a test of
# the weights of uniformer-s-g.
model = dict(backbone=dict(eval_stage3_style='window', eval_window_size=32))
