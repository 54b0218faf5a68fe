_base_ = ['./td-hm_uniformer-s-8xb64-210e_coco-448x320.py']

# 8 GPUs x 32 = 256 people a step, lr = 5e-4.
# The paper's section 5.5.1 says drop path 0.5 for base; the authors' script for this size has 0.55.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.55,
        init_cfg=dict(checkpoint='uniformer_base_in1k'),
    )
)
train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
auto_scale_lr = dict(base_batch_size=256)
default_hooks = dict(checkpoint=dict(interval=10))
