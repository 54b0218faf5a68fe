_base_ = ['./uniformer-small_token-label_8xb128_in1k.py']

# S-dagger with head width 64: the same parameter shapes as with 32, but other weights.
# 8 GPUs x 128 = 1024 images a step, lr = 1.6e-3 whatever the batch.
model = dict(backbone=dict(arch='small_plus_dim64', head_dim=64))
