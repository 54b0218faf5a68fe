_base_ = ['mmdet::_base_/datasets/coco_instance.py']

# Annotations are checked as they are read: what cannot be used is left out and counted.
checked = dict(type='uniformer_mm.CheckedCocoDataset')
train_dataloader = dict(
    persistent_workers=False,  # EpochSeedHook seeds the workers when they start
    dataset=checked,
)
val_dataloader = dict(dataset=checked)
test_dataloader = dict(dataset=checked)
val_evaluator = dict(type='uniformer_mm.CheckedCocoMetric')
test_evaluator = dict(type='uniformer_mm.CheckedCocoMetric')
