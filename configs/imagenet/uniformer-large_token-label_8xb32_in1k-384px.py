_base_ = ['./uniformer-small_token-label_8xb64_in1k-384px.py']

# Drop path 0.3 and batch are in doubt: they are those of the authors' script, which trains
# uniformer_small_plus by mistake, where the paper (section 5.1) has 0.4 for L and a batch of 512.
# 8 GPUs x 32 = 256 images a step, lr = 5e-6 whatever the batch.
model = dict(
    backbone=dict(arch='large', head_dim=64, drop_path_rate=0.3),
    head=dict(in_channels=640),
)
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=256)
load_from = 'weights/uniformer_large_ls_tl_224.pth'
