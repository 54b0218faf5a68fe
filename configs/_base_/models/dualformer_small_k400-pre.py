_base_ = ['./dualformer_small.py']

# From Kinetics-400. The authors take the means of BGR from the channels of RGB, and do not divide:
# the norm behind the first embedding makes up for most of it.
model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True, type='Pretrained', checkpoint='weights/dualformer_small_k400.pth'
        ),
    ),
    data_preprocessor=dict(mean=[104, 117, 128], std=[1, 1, 1]),
)
