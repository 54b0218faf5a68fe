_base_ = ['./uniformer-small_token-label_8xb64_in1k-384px.py']

# 8 GPUs x 64 = 512 images a step, lr = 5e-6 whatever the batch.
model = dict(backbone=dict(arch='base', drop_path_rate=0.3))
load_from = 'weights/uniformer_base_tl_224.pth'
