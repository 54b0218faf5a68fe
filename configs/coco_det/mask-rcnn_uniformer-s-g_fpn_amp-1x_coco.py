_base_ = ['./mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco.py']

# Style ablation of the paper (Table 15): global attention in stage 3, all else as in the hybrid.
# 8 GPUs x 2 = 16 images a step, lr = 1e-4.
model = dict(backbone=dict(stage3_style='global'))
