_base_ = [
    '../_base_/models/td-hm_uniformer.py',
    '../_base_/datasets/coco_pose_448x320.py',
    '../_base_/schedules/coco_pose_210e_adamw.py',
    '../_base_/runtimes/coco_pose.py',
]

# 8 GPUs x 64 = 512 people a step, lr = 1e-3.
# The paper's section 5.5.1 says 1024 people for small; the authors' script for this size has 512.
model = dict(head=dict(decoder=_base_.codec))
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=512)
