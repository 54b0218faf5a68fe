_base_ = [
    '../_base_/models/uniformer_token-label.py',
    '../_base_/datasets/imagenet_token-label_384.py',
    '../_base_/schedules/imagenet_bs512_adamw_uniformer_fine-tune.py',
    '../_base_/runtimes/imagenet_token-label.py',
]

# From the whole model at 224: nothing in it depends on the size.
# 8 GPUs x 64 = 512 images a step, lr = 5e-6 whatever the batch.
load_from = 'weights/uniformer_small_tl_224.pth'
