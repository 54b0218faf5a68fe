_base_ = ['./uniformer-small_in1k-pre_32x4x1_8xb4-110e_kinetics400-rgb.py']

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 1e-4. Published top-1: 82.9, top-5 95.4.
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
