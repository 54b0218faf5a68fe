import json

from mini.clips import write_video
from small_data import moving_bar


def test_each_step_is_timed_beside_the_stock_one(run_tool, repo_root, tmp_path) -> None:
    write_video(tmp_path / '0.mp4', moving_bar(40, (64, 80)))
    (tmp_path / 'list.txt').write_text('0.mp4 0\n')
    config = tmp_path / 'config.py'
    base = repo_root / 'configs/_base_/datasets/kinetics400_16x4.py'
    files = dict(
        data_root='', ann_file=f'{tmp_path}/list.txt', data_prefix=dict(video=f'{tmp_path}')
    )
    config.write_text(
        f'_base_ = [{str(base)!r}]\ndefault_scope = "mmaction"\nmodel = dict(type="Recognizer3D")\n'
        f'train_dataloader = dict(dataset={files!r})\n'
    )
    output = tmp_path / 'results.json'
    sizes = ('--samples', 1, '--rounds', 1, '--json', output)
    done = run_tool('tools/analysis/benchmark_data.py', config, *sizes)
    assert done.returncode == 0, done.stderr
    results = json.loads(output.read_text())
    assert list(results['config']['steps'])[:3] == [
        '0 PyAVInit',
        '1 DenseClipSample',
        '2 PyAVDecode',
    ]
    assert list(results['stock']['steps'])[:3] == [
        '0 DecordInit',
        '1 DenseClipSample',
        '2 DecordDecode',
    ]
    assert all(ms > 0 for result in results.values() for ms in result['steps'].values())
    assert 'speed / stock' in done.stdout
