_base_ = ['./video.py']

# The head of an official file is renumbered, since the lists number the classes as MMAction2 does.
default_hooks = dict(checkpoint_guard=dict(class_order='sthv1'))
