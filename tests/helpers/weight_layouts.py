"""A small network, and its weights in every layout that weights are found in."""

import argparse
import re

import torch

from uniformer_mm.checkpoints import parse_checkpoint, to_mm

ARCH = {'depths': (1, 2, 3, 1), 'embed_dims': (16, 32, 32, 64), 'head_dim': 16}
# Beside what makes UniFormerLight light.
LIGHT = {**ARCH, 'mlp_ratio': 3.0, 'embed_types': ('conv', 'patch', 'patch', 'patch')}
# DualFormer's head dimension is 32.
DUAL = {'depths': (2, 2, 2, 2), 'embed_dims': (32, 32, 32, 64)}
CLASSIFIER = {'out_indices': (3,), 'final_norm': True}


def heads(*names: str, num_classes: int = 5, channels: int = 64) -> dict:
    """Random official entries of the heads with these names."""
    state = {}
    for name in names:
        shape = (channels,) if name == 'norm_cls' else (num_classes, channels)
        state |= {f'{name}.weight': torch.rand(shape), f'{name}.bias': torch.rand(shape[0])}
    return state


def to_openmixup(key: str) -> str:
    """OpenMixup's name of an official entry."""
    if key.startswith('head.'):
        return key.replace('head.', 'head.fc.')
    key = re.sub(r'^(patch_embed\d)\.proj\.', r'\1.projection.', key)
    key = re.sub(r'^(blocks[12]\.\d+)\.norm(\d)\.', r'\1.bn\2.', key)
    key = re.sub(r'^(blocks[34]\.\d+)\.norm(\d)\.', r'\1.ln\2.', key)
    key = re.sub(r'^(blocks\d\.\d+)\.mlp\.', r'\1.ffn.', key)
    return 'backbone.' + re.sub(r'^norm\.', 'norm3.', key)


def shifted(state: dict) -> dict:
    """Other values under the same names."""
    return {key: value + 1 for key, value in state.items()}


def layouts(state: dict) -> dict:
    """The same weights in every layout they are found in."""
    training = {'optimizer': {'state': {0: {'step': 1}}}, 'args': argparse.Namespace(lr=1e-3)}
    wrapped = {f'module.{key}': value for key, value in state.items()}
    mm = to_mm(parse_checkpoint(state, 'state'))
    plain = {f'module.{key}': value for key, value in shifted(mm).items()}
    openmixup = {to_openmixup(key): value for key, value in state.items()}
    averaged = {f'ema_{key.replace(".", "_")}': v for key, v in openmixup.items()}
    return {
        'bare': state,
        'bare in DDP': wrapped,
        'model': {'model': state},
        'training': {'model': state, 'model_ema': shifted(state), **training},
        'training in DDP': {'model': wrapped, 'model_ema': shifted(wrapped), **training},
        'timm': {'state_dict': state, 'state_dict_ema': shifted(state), **training},
        'slowfast': {'model_state': state, 'cfg': 'MODEL: {}', 'epoch': 1},
        'mm': {'state_dict': mm, 'meta': {'epoch': 1}, 'message_hub': {}},
        'mm with EMAHook': {
            'state_dict': mm,
            'ema_state_dict': {'steps': torch.tensor(3), **plain},
        },
        'openmixup': {'state_dict': openmixup, 'meta': {}},
        'openmixup with EMA buffers': {'state_dict': {**openmixup, **averaged}},
    }


LAYOUTS = tuple(layouts({'patch_embed1.proj.weight': torch.zeros(1)}))


def assert_same(found: dict, expected: dict) -> None:
    """Names and values are equal."""
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
