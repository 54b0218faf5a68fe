_base_ = [
    '../_base_/models/td-hm_uniformer.py',
    '../_base_/datasets/coco_pose_256x192.py',
    '../_base_/schedules/coco_pose_210e_adamw.py',
    '../_base_/runtimes/coco_pose.py',
]

# 8 GPUs x 128 = 1024 people a step, lr = 2e-3.
model = dict(head=dict(decoder=_base_.codec))
