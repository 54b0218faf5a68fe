_base_ = ['./td-hm_uniformer-s-8xb128-210e_coco-384x288.py']

# Style ablation of the paper (Table 17): hybrid attention in stage 3, all else as with global.
model = dict(backbone=dict(stage3_style='hybrid', window_size=14))
