# UperNet on a dense UniFormer (Li et al., UniFormer, TPAMI 2023, section 5.4): stock head, and a
# second one on stage 3 while training, for 150 classes.
_base_ = ['mmseg::_base_/models/upernet_r50.py']

# Padded after normalising: the image with 0, the label with 255, which no loss counts.
data_preprocessor = dict(size=(512, 512))
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained=None,
    backbone=dict(_delete_=True, type='uniformer_mm.UniFormer', arch='small'),
    decode_head=dict(in_channels=[64, 128, 320, 512], num_classes=150),
    auxiliary_head=dict(in_channels=320, num_classes=150),
)
