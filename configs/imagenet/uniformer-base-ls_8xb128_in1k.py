_base_ = ['./uniformer-base_8xb128_in1k.py']

# Layer scale in the two attention stages only, as in the released weights.
# 8 GPUs x 128 = 1024 images a step, lr = 4e-4 x 1024 / 512 = 8e-4.
model = dict(backbone=dict(layer_scale_init_value=1e-6, layer_scale_stages=(2, 3)))
