_base_ = ['mmdet::_base_/datasets/coco_instance.py']

train_dataloader = dict(persistent_workers=False)  # EpochSeedHook seeds the workers when they start
