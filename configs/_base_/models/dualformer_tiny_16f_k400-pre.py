_base_ = ['./dualformer_tiny_16f.py']

# From Kinetics-400 with 32 frames, where kernels of the pyramids have another size. The authors'
# loader leaves these out, and so does clip_kernels='initial'; 'resize' would resample them.
model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='weights/dualformer_tiny_k400.pth',
            clip_kernels='initial',
        ),
    ),
)
