_base_ = ['./uniformer3d_small.py']

# Drop path is the repository's: the paper doubles small's 0.1.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint='uniformer_base_in1k'),
    )
)
