_base_ = ['./uniformer-small_8xb128_in1k.py']

# 8 GPUs x 128 = 1024 images a step, lr = 4e-4 x 1024 / 512 = 8e-4.
model = dict(backbone=dict(arch='base', drop_path_rate=0.3))
optim_wrapper = dict(optimizer=dict(lr=4e-4 * 1024 / 512))
