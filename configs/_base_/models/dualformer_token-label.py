# What makes a DualFormer for Kinetics-400 learn from tokens too, which the authors' B labels while
# the student trains: model = _base_.token_label. Half the loss is that of tokens. The B is the
# network of dualformer-base_in1k-pre_32x2x1_8xb8-30e_kinetics400-rgb.py; tests do without it.
token_label = dict(
    type='uniformer_mm.TokenLabelRecognizer3D',
    cls_head=dict(
        type='uniformer_mm.TokenLabelHead3D',
        loss_cls=dict(type='CrossEntropyLoss', loss_weight=0.5),
        loss_token=dict(type='uniformer_mm.TeacherTokenLoss', k=5, loss_weight=0.5),
    ),
    teacher=dict(
        backbone=dict(type='uniformer_mm.DualFormer', arch='base', clip_size=(32, 224, 224)),
        cls_head=dict(type='I3DHead', num_classes=400, in_channels=1024),
        # On Google Drive only: see configs/kinetics/README.md.
        checkpoint='weights/dualformer_base_k400.pth',
    ),
)
