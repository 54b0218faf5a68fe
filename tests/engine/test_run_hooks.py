"""Hooks that let a run lose nothing, on a network of one layer; tests/tools and tests/faults kill
real ones."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from uniformer_mm.engine.hooks.checkpoints import WholeFileBackend
from uniformer_mm.engine.hooks.preemption import set_buffers
from uniformer_mm.errors import UserError
from uniformer_mm.files import hold_folder


class Noise(BaseDataset):
    """Random numbers, others at each look."""

    def __init__(self) -> None:
        super().__init__(lazy_init=True)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return dict(inputs=torch.randn(3) + index)


class Model(BaseModel):
    """One layer behind dropout."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, inputs, mode):
        out = self.layer(torch.dropout(torch.stack(inputs), 0.5, self.training))
        return dict(loss=out.square().mean()) if mode == 'loss' else list(out)


class Rising(BaseMetric):
    """A score that is better each time, whatever is measured."""

    score = 0.0

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        Rising.score += 1
        return dict(acc=Rising.score)


class At(Hook):
    """Does something after one iteration, and notes the losses of all."""

    def __init__(self, step: int = -1, action=None):
        self.step, self.action, self.losses = step, action, {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses[runner.iter] = outputs['loss'].item()
        if runner.iter == self.step:
            self.action(runner)


def make(work_dir, *hooks, loop=None, checkpoint=(), batch=2, **kwargs) -> Runner:
    """A runner of four batches an epoch, with all hooks of the runtimes that concern runs."""
    loader = dict(num_workers=0 if loop is None else 1, dataset=Noise())
    ours = ('CheckpointGuard', 'EpochSeed', 'FiniteLoss', 'BatchCount', 'WorkDirLock', 'Preemption')
    registered = {
        name: dict(type=f'uniformer_mm.{name}Hook') for name in (*ours, 'MissedValidation')
    }
    saving = dict(type='uniformer_mm.SafeCheckpointHook', interval=1, max_keep_ckpts=1)
    saving.update(dict(save_best='acc', rule='greater') | dict(checkpoint))
    by_epoch = saving.get('by_epoch', True)
    sampler = dict(type='DefaultSampler' if by_epoch else 'InfiniteSampler', shuffle=True)
    torch.manual_seed(0)
    settings = dict(param_scheduler=dict(type='CosineAnnealingLR', T_max=12, by_epoch=False))
    return Runner(
        Model(),
        str(work_dir),
        train_dataloader=dict(batch_size=batch, drop_last=True, sampler=sampler, **loader),
        train_cfg=loop or dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        val_dataloader=dict(batch_size=4, sampler=dict(type='DefaultSampler'), **loader),
        val_cfg={},
        val_evaluator=dict(type=Rising),
        default_hooks=dict(checkpoint=saving, **registered),
        custom_hooks=list(hooks),
        randomness=dict(seed=1),
        experiment_name=f'run{os.urandom(4).hex()}',
        **(settings | kwargs),
    )


def resume(work_dir, *hooks, source=None, **kwargs) -> Runner:
    last = Path(work_dir, 'last_checkpoint')
    source = source or last.read_text()
    runner = make(work_dir, *hooks, load_from=str(source), resume=True, **kwargs)
    runner.train()
    return runner


def files(folder) -> list[str]:
    return sorted(file.name for file in Path(folder).glob('*.pth'))


def test_there_is_always_a_whole_checkpoint(tmp_path, monkeypatch):
    seen, put = [], WholeFileBackend.put

    def look(self, obj, filepath):
        seen.append((Path(filepath).name, files(tmp_path)))
        put(self, obj, filepath)

    monkeypatch.setattr(WholeFileBackend, 'put', look)
    make(tmp_path).train()
    before = {name: old for name, old in seen if name != 'last_checkpoint'}
    assert before['epoch_2.pth'] == ['best_acc_epoch_1.pth', 'best_acc_epoch_2.pth', 'epoch_2.pth']
    assert before['best_acc_epoch_3.pth'] == ['best_acc_epoch_2.pth', 'epoch_3.pth']
    assert ('epoch_2.pth', ['best_acc_epoch_1.pth', 'epoch_1.pth']) in seen
    assert files(tmp_path) == ['best_acc_epoch_3.pth', 'epoch_3.pth']


def test_a_full_disk_keeps_what_is_there(tmp_path):
    target = tmp_path / 'epoch_1.pth'
    WholeFileBackend().put(b'whole', target)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UserError, match=r'epoch_1.pth .* cannot be written: .*--resume'):
            WholeFileBackend().put(bytes(5000), target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {target.name: b'whole'}


def test_only_own_files_are_removed(tmp_path):
    first, second, victim = tmp_path / 'first', tmp_path / 'second', tmp_path / 'victim.pth'
    make(first, loop=dict(by_epoch=True, max_epochs=1)).train()
    resume(second, source=first / 'epoch_1.pth')
    assert files(first) == ['best_acc_epoch_1.pth', 'epoch_1.pth']
    assert files(second) == ['best_acc_epoch_3.pth', 'epoch_3.pth']

    victim.touch()
    (first / 'epoch_0.pth').mkdir()
    (first / '.part-99-epoch_2.pth').touch()
    state = torch.load(first / 'epoch_1.pth', weights_only=False)
    state['message_hub']['runtime_info'].update(best_ckpt=str(victim), keep_ckpt_ids=[0, 1])
    torch.save(state, first / 'epoch_1.pth')
    resume(first)
    assert victim.exists()
    assert (first / 'epoch_0.pth').is_dir()
    assert files(first) == [
        'best_acc_epoch_1.pth',
        'best_acc_epoch_3.pth',
        'epoch_0.pth',
        'epoch_3.pth',
    ]
    assert not list(first.glob('.part-*'))


@pytest.mark.parametrize('value', [1e30, float('nan')])
def test_broken_weights_are_not_saved(tmp_path, value):
    def spoil(runner):
        runner.model.layer.weight.data[0, 1] = value

    with pytest.raises(UserError, match=r'after iteration 8: layer.weight \('):
        make(tmp_path, At(7, spoil)).train()
    assert files(tmp_path) == ['best_acc_epoch_1.pth', 'epoch_1.pth']


def test_a_metric_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match='save_best names mIoU, .* it gives acc'):
        make(tmp_path, checkpoint=dict(save_best='mIoU')).train()


def test_a_run_without_a_batch_does_not_start(tmp_path):
    with pytest.raises(UserError, match='8 samples, 8 for each of 1 processes, .* batch of 9'):
        make(tmp_path, batch=9, param_scheduler=None).train()
    for kind in ('WarmupCosineLR', 'EpochCosineLR'):  # built before the hooks run
        schedule = dict(type=f'uniformer_mm.{kind}', T_max=3, convert_to_iter_based=True)
        with pytest.raises(UserError, match='nothing to train on: .* does not fill a batch'):
            make(tmp_path, batch=9, param_scheduler=schedule).train()
    endless = dict(by_epoch=False, max_iters=1)
    make(tmp_path, loop=endless, batch=9, checkpoint=dict(by_epoch=False)).train()


def test_a_missing_validation_is_made_up(tmp_path):
    whole = make(tmp_path)
    whole.train()
    assert (tmp_path / 'last_validation').read_text() == '12\n'
    score = Rising.score
    resume(tmp_path)
    assert score == Rising.score  # nothing was missing

    (tmp_path / 'last_validation').write_text('8\n')  # as if killed during the last one
    again = resume(tmp_path)
    assert score + 1 == Rising.score == again.message_hub.get_info('best_score')
    assert files(tmp_path) == ['best_acc_epoch_3.pth', 'epoch_3.pth']
    state = torch.load(tmp_path / 'epoch_3.pth', weights_only=False)
    assert state['message_hub']['runtime_info']['best_score'] == Rising.score


LOOPS = {
    'epoch': (None, ()),
    'iteration': (
        dict(by_epoch=False, max_iters=12, val_interval=4),
        dict(by_epoch=False, interval=4),
    ),
}


@pytest.mark.parametrize(('loop', 'checkpoint'), LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize('step', [5, 7])  # within an epoch, and at its end
def test_a_preempted_run_continues_with_the_same_losses(tmp_path, loop, checkpoint, step):
    settings = dict(loop=loop, checkpoint=checkpoint)
    notes = [At(), At(step, lambda runner: os.kill(os.getpid(), signal.SIGUSR1)), At()]
    whole = make(tmp_path / 'whole', notes[0], **settings)
    whole.train()
    with pytest.raises(SystemExit) as stop:
        make(tmp_path / 'cut', notes[1], **settings).train()
    assert stop.value.code == 75
    assert list(notes[1].losses) == list(range(step + 1))
    assert ('preempted.pth' in files(tmp_path / 'cut')) == (step == 5)

    resumed = resume(tmp_path / 'cut', notes[2], **settings)
    assert notes[1].losses | notes[2].losses == notes[0].losses
    assert torch.equal(resumed.model.layer.weight, whole.model.layer.weight)
    assert files(tmp_path / 'cut') == files(tmp_path / 'whole')


def _hold(folder, held, wait):
    hold_folder(folder)
    held.set()
    wait.wait()


def test_one_training_in_a_work_dir(tmp_path):
    context = multiprocessing.get_context('fork')
    held, wait = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, held, wait), daemon=True)
    other.start()
    assert held.wait(10)
    with pytest.raises(UserError, match=rf'running in .* \(process {other.pid}\)'):
        make(tmp_path).train()
    other.kill()
    other.join()
    make(tmp_path).train()

    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='cannot be used'):
        hold_folder(tmp_path / 'file')


def test_statistics_that_are_not_of_the_preempted_run() -> None:
    norm = torch.nn.BatchNorm1d(2)
    buffers = dict(norm.named_buffers())
    set_buffers([norm], [buffers | {'running_mean': torch.full((2,), 3.0)}])
    assert (norm.running_mean == 3).all()
    for wrong in ([], [{}], [buffers | {'running_mean': torch.zeros(3)}], [buffers, buffers]):
        with pytest.raises(UserError, match='no usable BatchNorm statistics'):
            set_buffers([norm], wrong)
