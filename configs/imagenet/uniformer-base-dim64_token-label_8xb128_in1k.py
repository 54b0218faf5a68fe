_base_ = ['./uniformer-base_token-label_8xb128_in1k.py']

# Head width 64 as in plain B: the same parameter shapes as with 32, but other weights.
# 8 GPUs x 128 = 1024 images a step, lr = 1.6e-3 whatever the batch.
model = dict(backbone=dict(head_dim=64))
