_base_ = ['../_base_/coco_pose_448x320.py']

# 8 GPUs x 64 = 512 people a step, lr = 1e-3, drop path 0.2. Published: AP 76.2, AR 81.4.
# The paper's section 5.5.1 says 1024 people for small; the authors' script for this size has 512.
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=512)
