"""The built-in small data sets: ``DATA`` has the writer and the number of images of each."""

from . import clips, digits, people

DATA = dict(
    imagenet=(digits.write_imagenet, dict(train=4000, val=500)),
    coco=(digits.write_coco, dict(train=1000, val=120)),
    ade=(digits.write_ade, dict(train=1200, val=100)),
    pose=(people.write_pose, dict(train=900, val=120)),
    kinetics=(clips.write_kinetics, dict(train=1200, val=200)),
    something=(clips.write_something, dict(train=200, val=60)),
)
