# What the mini segmentors share: the paper's data and runtime on the digits of
# tools/demo/make_mini.py, at a size for 2 CPU cores.
_base_ = ['../datasets/ade20k_512x512.py', '../runtimes/ade20k.py']

digits_backbone = dict(
    arch='mini',
    init_cfg=dict(type='Pretrained', checkpoint='work_dirs/demo/cls/classifier.pth'),
)
digits_size = (96, 96)

digits_classes = (*'0123456789', 'park', 'garden')
digits_dataset = dict(
    _delete_=True,
    # ADE20KDataset knows ADE20K's names only.
    type='BaseSegDataset',
    data_root='data/mini/ade',
    img_suffix='.jpg',
    seg_map_suffix='.png',
    reduce_zero_label=True,
    metainfo=dict(
        # As many as ADE20K has, of which the first twelve are drawn.
        classes=(*digits_classes, *(f'unused {i}' for i in range(len(digits_classes), 150))),
        # A colour for each digit, easy to tell from its neighbours, and calm ones behind them.
        palette=[
            *((230, 25, 75), (60, 180, 75), (255, 225, 25), (67, 99, 216), (245, 130, 49)),
            *((145, 30, 180), (66, 212, 244), (240, 50, 230), (191, 239, 69), (250, 190, 212)),
            *((90, 90, 100), (0, 60, 40)),
            *[(0, 0, 0)] * (150 - len(digits_classes)),
        ],
    ),
)

# No flip: a mirrored digit is another sign or none.
train_pipeline = [
    *_base_.train_pipeline[:-5],  # the image and its labels
    dict(type='RandomResize', scale=(128, 96), ratio_range=(0.8, 1.2), keep_ratio=True),
    dict(type='RandomCrop', crop_size=digits_size, cat_max_ratio=0.75),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=(128, 96), keep_ratio=True),
    *_base_.test_pipeline[2:],
]
tta_resizes = [
    dict(type='Resize', scale=(int(128 * r), int(96 * r)), keep_ratio=True)
    for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
]
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(type='TestTimeAug', transforms=[tta_resizes, *_base_.tta_pipeline[1].transforms[1:]]),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        **digits_dataset,
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        **digits_dataset,
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=150, max_keep_ckpts=2),
    visualization=dict(interval=1),
)
randomness = dict(seed=0)
