_base_ = ['./imagenet.py']

randomness = dict(seed=42)
