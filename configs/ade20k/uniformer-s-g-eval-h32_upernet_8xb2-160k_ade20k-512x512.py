_base_ = ['./uniformer-s-g_upernet_8xb2-160k_ade20k-512x512.py']

# Trains global and evaluates in windows of 32, the stage-3 map of a crop, and global in every fourth
# block: 5 % less work for the whole UperNet at 512 x 2048 and 20 % less for its backbone.
# 8 GPUs x 2 = 16 images a step, lr = 6e-5. Published: mIoU 47.0, multi-scale 48.5.
model = dict(backbone=dict(eval_stage3_style='hybrid', eval_window_size=32))
