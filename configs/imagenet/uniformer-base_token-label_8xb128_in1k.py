_base_ = ['./uniformer-small_token-label_8xb128_in1k.py']

# Head width 32, where plain B has 64.
# 8 GPUs x 128 = 1024 images a step, lr = 1.6e-3 whatever the batch.
model = dict(backbone=dict(arch='base', drop_path_rate=0.3))
