_base_ = ['../_base_/coco_pose_256x192.py']

# 8 GPUs x 128 = 1024 people a step, lr = 2e-3, drop path 0.2. Published: AP 74.0, AR 79.5.
