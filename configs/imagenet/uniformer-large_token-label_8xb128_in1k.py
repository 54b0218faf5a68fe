_base_ = ['./uniformer-small_token-label_8xb128_in1k.py']

# Layer scale in every block, head width 64.
# 8 GPUs x 128 = 1024 images a step, lr = 1.2e-3 whatever the batch.
model = dict(
    backbone=dict(arch='large', head_dim=64, drop_path_rate=0.4),
    head=dict(in_channels=640),
)
optim_wrapper = dict(optimizer=dict(lr=1.2e-3))
