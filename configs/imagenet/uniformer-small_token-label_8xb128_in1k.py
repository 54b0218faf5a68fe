_base_ = [
    '../_base_/models/uniformer_token-label.py',
    '../_base_/datasets/imagenet_token-label_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_uniformer_token-label.py',
    '../_base_/runtimes/imagenet_token-label.py',
]

# Head width 32, where plain S has 64.
# 8 GPUs x 128 = 1024 images a step, lr = 1.6e-3 whatever the batch.
