# The light networks for clips. A second classifier, on the class token that ranks the tokens, takes
# part in the loss; tests use the pooled one. In mixed precision the ranking is float32 and the
# rest of attention as in any network, where most of the authors' runs kept all of it in float32.
_base_ = ['./uniformer3d_small.py']

model = dict(
    backbone=dict(
        type='uniformer_mm.UniFormerLight3D',
        arch='xxs',
        with_cls_token=True,
        drop_path_rate=0.05,
        # Of the resolution of the clips, on Google Drive only: see README.md.
        init_cfg=dict(checkpoint='weights/uniformer_xxs_128_in1k.pth'),
    ),
    cls_head=dict(type='uniformer_mm.LightHead3D', in_channels=448),
)
