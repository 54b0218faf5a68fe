"""Names, addresses and the mirror lead to a file, which arrives whole or not at all."""

import errno
import fcntl
import hashlib
import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from uniformer_mm.checkpoints import (
    MIRROR,
    RELEASED,
    CheckpointError,
    fetch,
    fetching,
    local_path,
    read_checkpoint,
    resolve,
    through_safe_reader,
)

NAME = 'uniformer_small_in1k'
PLACE = f'/Sense-X/uniformer_image/resolve/main/{NAME}.pth'
ON_DRIVE = 'uniformer_base_ls'
POSE = 'top_down_256x192_global_small-d4a7fdac_20230724'


class Host(ThreadingHTTPServer):
    """A host of files on this machine.

    Attributes:
        files: Their bytes, by their paths.
        asked: Path and ``Range`` of every request.
        cuts: How many bytes are sent before the connection breaks, for one request each.
        flaws: What it does not do: ``'Range'``, ``'If-Range'``, ``'ETag'``.
        delay: Seconds before it answers.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Answer)
        self.files, self.asked, self.cuts, self.flaws, self.delay = {}, [], [], set(), 0.0
        self.address = f'http://127.0.0.1:{self.server_port}'


class Answer(BaseHTTPRequestHandler):
    """How it answers."""

    timeout = 20

    def do_GET(self) -> None:  # noqa: N802
        host, wanted = self.server, self.headers.get('Range')
        host.asked.append((self.path, wanted))
        time.sleep(host.delay)
        if self.path not in host.files:
            self.send_error(404)
            return
        body = host.files[self.path]
        version = f'"{hashlib.sha256(body).hexdigest()}"'
        same = 'If-Range' in host.flaws or self.headers.get('If-Range') == version
        start = int(wanted[6:-1]) if wanted and same and 'Range' not in host.flaws else 0
        if start and start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header('Content-Range', f'bytes {start}-{len(body) - 1}/{len(body)}')
        self.send_header('Content-Length', str(len(body) - start))
        if 'ETag' not in host.flaws:
            self.send_header('ETag', version)
        self.end_headers()
        self.wfile.write(body[start:][: host.cuts.pop(0) if host.cuts else None])

    def log_message(self, *args: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    (tmp_path / 'hub/checkpoints').mkdir(parents=True)
    return tmp_path / 'hub/checkpoints'


@pytest.fixture
def host(hub, monkeypatch) -> Iterator[Host]:
    """The host, which has ``/a.pth``; it is the mirror too."""
    with Host() as host:
        thread = threading.Thread(target=partial(host.serve_forever, poll_interval=0.01))
        thread.start()
        monkeypatch.setenv('no_proxy', '127.0.0.1')
        monkeypatch.setenv(MIRROR, f'{host.address}/')
        host.files['/a.pth'] = whole_file(0)
        yield host
        host.shutdown()
        thread.join(10)


def whole_file(value: int) -> bytes:
    buffer = io.BytesIO()
    torch.save({'model': {'norm.weight': torch.full((64,), float(value))}}, buffer)
    return buffer.getvalue()


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_name_is_fetched_once(host, hub):
    host.files[PLACE] = whole_file(1)
    for _ in range(2):
        weights = read_checkpoint(NAME)
        assert weights.source == RELEASED[NAME].url and weights.head_dim == 64
    assert host.asked == [(PLACE, None)]
    assert names_in(hub) == [f'{NAME}.pth']


def test_nothing_is_fetched_unasked(host, hub, tmp_path):
    url = f'{host.address}/a.pth'
    for source in (url, NAME):
        with pytest.raises(CheckpointError, match='(?s)hub/checkpoints.*download=True fetches'):
            read_checkpoint(source, download=False)
    read_checkpoint(url, download=tmp_path / 'mine')
    assert len(names_in(tmp_path / 'mine')) == len(host.asked) == 1
    read_checkpoint(url)
    read_checkpoint(url, download=False)  # it is there now
    assert len(host.asked) == 2
    host.files['/b/a.pth'] = whole_file(1)  # has the same name
    read_checkpoint(f'{host.address}/b/a.pth')
    assert [name[8:] for name in names_in(hub)] == ['_a.pth', '_a.pth']


class TestBrokenDownload:
    """The rest is fetched, if it is the rest of the same file."""

    def test_goes_on_by_itself(self, host):
        host.cuts = [100, 300]
        file = fetch(f'{host.address}/a.pth')
        assert file.read_bytes() == host.files['/a.pth']
        assert [where for _, where in host.asked] == [None, 'bytes=100-', 'bytes=400-']

    @pytest.mark.parametrize(
        ('flaws', 'body', 'asked'),
        [
            ((), 0, ['bytes=100-']),
            ((), 1, ['bytes=100-', None]),
            (('If-Range',), 1, ['bytes=100-', None]),
            (('Range',), 0, ['bytes=100-', None]),
            (('ETag',), 0, [None]),
        ],
        ids=['same file', 'changed', 'changed, If-Range ignored', 'Range ignored', 'no version'],
    )
    def test_goes_on_later(self, host, hub, flaws, body, asked):
        url = f'{host.address}/a.pth'
        host.cuts, host.flaws = [100, 0], {*flaws} - {'Range', 'If-Range'}
        kept = 'ETag' not in flaws
        with pytest.raises(CheckpointError, match='100 bytes are kept in' if kept else '100 of'):
            fetch(url)
        assert any(name.endswith('.part') for name in names_in(hub)) == kept
        host.cuts, host.flaws, host.files['/a.pth'] = [], set(flaws), whole_file(body)
        host.asked.clear()
        assert fetch(url).read_bytes() == whole_file(body)
        assert [where for _, where in host.asked] == asked
        assert len(names_in(hub)) == 1

    def test_file_became_shorter(self, host):
        host.flaws, host.cuts = {'If-Range'}, [2500, 0]
        host.files['/a.pth'] += bytes(1000)
        with pytest.raises(CheckpointError, match='2500 bytes are kept'):
            fetch(f'{host.address}/a.pth')
        host.files['/a.pth'] = whole_file(0)
        assert fetch(f'{host.address}/a.pth').read_bytes() == whole_file(0)

    def test_disk_is_full(self, host, hub, monkeypatch):
        class Full(io.FileIO):
            def write(self, data: bytes) -> int:
                if self.tell() < 50:
                    super().write(data[:50])
                raise OSError(errno.ENOSPC, 'No space left on device')

        opened = Path.open

        def open_on_it(self: Path, mode: str = 'r', *args: object, **kwargs: object) -> io.IOBase:
            return Full(self, mode) if mode == 'ab' else opened(self, mode, *args, **kwargs)

        with monkeypatch.context() as context:
            context.setattr(Path, 'open', open_on_it)
            with pytest.raises(CheckpointError, match='No space left.*50 bytes are kept'):
                fetch(f'{host.address}/a.pth')
        assert fetch(f'{host.address}/a.pth').read_bytes() == whole_file(0)
        assert host.asked[-1][1] == 'bytes=50-'


class TestAtOnce:
    def test_one_of_many_downloads(self, host):
        host.delay = 0.05
        with ThreadPoolExecutor(4) as pool:
            files = set(pool.map(fetch, [f'{host.address}/a.pth'] * 4))
        assert len(files) == len(host.asked) == 1

    def test_no_locks(self, host, hub, monkeypatch):
        """Then nobody goes on with what another may be writing."""

        def refuse(*args: object) -> None:
            raise OSError(errno.ENOLCK, 'No locks available')

        monkeypatch.setattr(fcntl, 'flock', refuse)
        host.cuts = [100, 0]
        with pytest.raises(CheckpointError, match='could not be fetched'):
            fetch(f'{host.address}/a.pth')
        assert not any('part' in name for name in names_in(hub))
        assert fetch(f'{host.address}/a.pth').read_bytes() == whole_file(0)


class TestWrongFile:
    """Is refused, and nothing of it is kept."""

    @pytest.mark.parametrize(
        ('body', 'message'),
        [
            (b'<html>Sign in</html>', 'web page'),
            (b'version https://git-lfs.github.com/spec/v1', 'Git LFS'),
            (b'', 'is empty'),
            (whole_file(0)[:500], 'truncated'),
            (None, '404.*give the local path'),
        ],
        ids=lambda value: None,
    )
    def test_is_no_checkpoint(self, host, hub, body, message):
        host.files = {} if body is None else {'/a.pth': body}
        with pytest.raises(CheckpointError, match=f'could not be fetched .*{message}'):
            fetch(f'{host.address}/a.pth')
        assert not any('pth.part' in name or name.endswith('.pth') for name in names_in(hub))

    def test_hash_in_the_address(self, host, hub):
        """As PyTorch's hub writes it, and not a date."""
        digits = hashlib.sha256(whole_file(0)).hexdigest()[:8]
        for name in (f'a-{digits}', 'a-20240101'):
            host.files[f'/{name}.pth'] = whole_file(0)
            fetch(f'{host.address}/{name}.pth')
        host.files['/a-0123abcd.pth'] = whole_file(0)
        before = names_in(hub)
        with pytest.raises(CheckpointError, match=f'begins with {digits}, not 0123abcd'):
            fetch(f'{host.address}/a-0123abcd.pth')
        assert {*names_in(hub)} - {*before} <= {name for name in names_in(hub) if 'lock' in name}

    def test_hash_in_the_table(self, host, monkeypatch):
        host.files[f'/mmpose/v1/projects/uniformer/{POSE}.pth'] = whole_file(0)
        with pytest.raises(CheckpointError, match='begins with .* not d4a7fdac'):
            fetch(resolve(POSE))
        monkeypatch.setattr(fetching, 'sha256_of', lambda path: 'd4a7fdac01')
        fetch(resolve(POSE))
        with pytest.raises(CheckpointError, match='begins with .* with d4a7fdac'):
            read_checkpoint(POSE)  # checked again when it is there


class TestMirror:
    def test_hugging_face(self, host):
        host.files['/me/mine/resolve/v1/deep/a%20b.pth'] = whole_file(0)
        fetch(resolve('hf://me/mine@v1/deep/a b.pth'))
        assert len(host.asked) == 1

    def test_name_of_a_file_on_google_drive(self, host, hub):
        host.files[f'/{ON_DRIVE}.pth'] = whole_file(0)
        assert fetch(resolve(ON_DRIVE)) == hub / f'{ON_DRIVE}.pth'

    def test_other_hosts_stay(self, host, monkeypatch):
        monkeypatch.setenv(MIRROR, f'{host.address}/mirror')
        fetch(f'{host.address}/a.pth')
        assert host.asked == [('/a.pth', None)]
        with pytest.raises(CheckpointError, match=f'(?s)/mirror.*{MIRROR}.*huggingface.*404'):
            fetch(resolve(NAME))

    @pytest.mark.parametrize('value', ['my.host/weights', '/data/weights'])
    def test_no_address(self, hub, monkeypatch, value):
        monkeypatch.setenv(MIRROR, value)
        with pytest.raises(CheckpointError, match=f'{MIRROR}={value} is no address'):
            fetch(resolve(NAME))


class TestResolve:
    @pytest.mark.parametrize(
        ('name', 'message'),
        [
            ('uniformer_bose_in1k', "close are 'uniformer_base_in1k'.*uniformer_mm weights"),
            (ON_DRIVE, f'Google Drive.*download https.* to .*hub/checkpoints/{ON_DRIVE}.pth'),
            ('fpn_hybrid_small', 'never released'),
        ],
    )
    def test_name_that_cannot_be_fetched(self, hub, name, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path(name).touch()  # a name stands for a local file only with its folder
        with pytest.raises(CheckpointError, match=message):
            read_checkpoint(name)
        assert local_path(f'./{name}') == Path(name)
        assert local_path(f'{name}.pth') == Path(f'{name}.pth')

    def test_name_of_what_a_browser_fetched(self, hub):
        file = hub / f'{ON_DRIVE}.pth'
        file.write_bytes(whole_file(0))
        assert local_path(ON_DRIVE) == file
        assert read_checkpoint(ON_DRIVE, download=False).head_dim == 64

    def test_addresses(self, tmp_path):
        file = tmp_path / 'a b.pth'
        assert local_path(f'file://{str(file).replace(" ", "%20")}') == file
        assert local_path('file://localhost/a.pth') == Path('/a.pth')
        assert local_path('hf://me/mine/a.pth') is local_path(NAME) is None
        assert resolve('hf://me/mine/a.pth') == 'https://huggingface.co/me/mine/resolve/main/a.pth'

    @pytest.mark.parametrize(
        ('address', 'message'),
        [
            ('hf://me/a.pth', 'expected hf://OWNER/REPOSITORY/FILE'),
            ('hf://me/mine/', 'expected hf://OWNER/REPOSITORY/FILE'),
            ('file://a.pth', 'expected file:///FOLDER/FILE'),
            ('ftp://host/a.pth', 'expected a path.*hf://'),
            ('https://host/', 'names no file'),
        ],
    )
    def test_no_address(self, hub, address, message):
        with pytest.raises(CheckpointError, match=message):
            read_checkpoint(address)

    def test_mmengine_reads_them(self, host, tmp_path):
        from mmengine.runner import CheckpointLoader

        (tmp_path / 'a.pth').write_bytes(whole_file(0))
        host.files['/me/mine/resolve/main/a.pth'] = whole_file(0)
        for address in (f'file://{tmp_path}/a.pth', 'hf://me/mine/a.pth'):
            loaded = CheckpointLoader.load_checkpoint(through_safe_reader(address))
            assert loaded['model'].keys() == {'norm.weight'}


def test_missing_file_of_a_released_name(tmp_path):
    with pytest.raises(CheckpointError, match=f'no checkpoint .*released file.*{NAME}.pth'):
        read_checkpoint(tmp_path / f'{NAME}.pth')
