_base_ = ['./uniformer-small_token-label_8xb64_in1k-384px.py']

# 8 GPUs x 64 = 512 images a step, lr = 5e-6 whatever the batch.
model = dict(backbone=dict(arch='small_plus'))
load_from = 'weights/uniformer_small_plus_tl_224.pth'
