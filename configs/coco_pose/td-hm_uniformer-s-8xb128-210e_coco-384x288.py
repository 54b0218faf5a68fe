_base_ = ['../_base_/coco_pose_384x288.py']

# 8 GPUs x 128 = 1024 people a step, lr = 2e-3, drop path 0.2. Published: AP 75.9, AR 81.4.
