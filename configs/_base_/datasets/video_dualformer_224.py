# What the video data sets of DualFormer share: little augmentation, and one clip of every video.
_base_ = ['./video_uniformer_224.py']

augmentation = [
    dict(type='Resize', scale=(-1, 256)),
    *(step for step in _base_.augmentation if not step['type'].startswith('uniformer_mm')),
]
# The authors validate on a smaller part of the frame than they test on.
val_view = [dict(type='Resize', scale=(-1, 256)), *_base_.center_view[1:]]

train_dataloader = dict(batch_size=8, drop_last=False, collate_fn=dict(type='pseudo_collate'))
val_dataloader = dict(batch_size=1)  # model.test_cfg.max_testing_views takes no more
