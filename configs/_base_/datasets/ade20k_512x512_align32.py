# The test of Semantic FPN: a second resize brings both sides up to multiples of 32.
_base_ = ['./ade20k_512x512.py']

align = dict(type='ResizeToMultiple', size_divisor=32)
test_pipeline = [*_base_.test_pipeline[:2], align, *_base_.test_pipeline[3:]]
tta_transforms = _base_.tta_pipeline[1].transforms
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(type='TestTimeAug', transforms=[tta_transforms[0], [align], *tta_transforms[2:]]),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
