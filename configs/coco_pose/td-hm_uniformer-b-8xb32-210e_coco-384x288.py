_base_ = ['./td-hm_uniformer-s-8xb128-210e_coco-384x288.py']

# 8 GPUs x 32 = 256 people a step, lr = 5e-4.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.5,
        init_cfg=dict(checkpoint='uniformer_base_in1k'),
    )
)
train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
auto_scale_lr = dict(base_batch_size=256)
