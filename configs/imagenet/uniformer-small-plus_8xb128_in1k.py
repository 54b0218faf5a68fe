_base_ = ['./uniformer-small_8xb128_in1k.py']

# S-dagger: overlapping convolutions for patches, head width 32.
# 8 GPUs x 128 = 1024 images a step, lr = 5e-4 x 1024 / 512 = 1e-3.
model = dict(backbone=dict(arch='small_plus'))
