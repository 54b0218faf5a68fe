_base_ = ['./uniformer-small_in1k-pre_16x4x1_8xb12-110e_kinetics600-rgb.py']

# 8 GPUs x 5 = 40 videos a step, of two clips each; lr = 1.25e-4. Published top-1: 84.0, top-5 96.4.
# Drop path is the repository's: the paper doubles small's 0.1.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(
            checkpoint='https://huggingface.co/Sense-X/uniformer_image/resolve/main/uniformer_base_in1k.pth',
        ),
    )
)
train_dataloader = dict(batch_size=5)
optim_wrapper = dict(optimizer=dict(lr=1.25e-4))
auto_scale_lr = dict(base_batch_size=40)
