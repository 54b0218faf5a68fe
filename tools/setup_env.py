"""Creates or updates ``.venv`` with the tested version of every dependency.

``make setup`` runs it, and so does every target that needs the environment: it returns at once
when nothing changed. It uses the standard library only. Interrupting it at any moment, kill -9
included, is safe: the stamp that declares the environment complete is written last.

Environment variables (all optional):
    BASE_PYTHON: The interpreter that the Makefile chose on request. Another minor version than
        that of ``.venv`` makes a new ``.venv``.
    MMCV_WHEEL: A wheel of mmcv with compiled ops to install instead of compiling one.
    FIND_LINKS: A folder of wheels. An mmcv or xtcocotools wheel in it is used instead of
        compiling one, and pip looks there for everything else.
    UNIFORMER_MM_CACHE: Where compiled wheels are kept. Defaults to ``uniformer_mm`` in
        ``$XDG_CACHE_HOME`` or ``~/.cache``.
    FORCE_CUDA: 1 compiles the ops for CUDA even if no GPU is seen now.
    MAX_JOBS: Compilers at a time. Defaults to the cores, less when memory is short.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / 'requirements'
CONSTRAINTS = REQUIREMENTS / 'constraints.txt'

BUILD_TOOLS = ('pip', 'setuptools', 'wheel', 'ninja', 'cython')
TORCH = ('numpy', 'torch', 'torchvision')
# Their metadata asks for packages that are not needed (chumpy) or that overwrite each other
# (three flavours of OpenCV); what they do need stands in requirements/.
NO_DEPS = ('mmengine', 'mmpretrain', 'mmdet', 'mmsegmentation', 'mmpose', 'mmaction2')
# The ops must fit torch; the published xtcocotools wheels are built for NumPy 1.
COMPILED = ('xtcocotools', 'mmcv')
# The same module without a window system, which a bare server does not have.
REPLACED = {'opencv-python': 'opencv-python-headless'}
TASKS = ('core', 'cls', 'det', 'seg', 'pose', 'video', 'dev')

CHECKS = {
    'mmcv': """
import torch
from mmcv.ops import nms
boxes = torch.tensor([[0., 0., 10., 10.], [1., 1., 11., 11.], [20., 20., 30., 30.]])
_, keep = nms(boxes, torch.tensor([.9, .8, .7]), iou_threshold=.5)
assert keep.tolist() == [0, 2], f'nms kept {keep.tolist()} instead of [0, 2]'
""",
    'xtcocotools': 'import xtcocotools._mask',
}
MMCV_MINUTES_ON_TWO_CORES = 11


class SetupError(Exception):
    """Something that the user can mend; the message says how."""


def say(message: str) -> None:
    print(f'[setup] {message}', flush=True)


# ---------------------------------------------------------------- what is wanted


def requirement_name(line: str) -> str:
    """The normalised name in a line such as ``Torch_Vision>=0.16``."""
    return re.split(r'[\s<>=!~;\[]', line.strip(), maxsplit=1)[0].lower().replace('_', '-')


def read_names(path: Path) -> list[str]:
    """The packages that a requirements file lists."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return [requirement_name(line) for line in lines if line and not line.startswith('#')]


def ordinary_packages() -> list[str]:
    """What pip can install with its dependencies: all but the special groups above."""
    special = {*BUILD_TOOLS, *TORCH, *NO_DEPS, *COMPILED}
    names = {name for task in TASKS for name in read_names(REQUIREMENTS / f'{task}.txt')}
    return sorted(REPLACED.get(name, name) for name in names - special)


def pinned(name: str) -> str:
    """The version of a package that is pinned for every Python alike."""
    for line in CONSTRAINTS.read_text().splitlines():
        if requirement_name(line) == name and '==' in line:
            return line.split('==')[1].split(';')[0].strip()
    raise SetupError(f'{CONSTRAINTS} pins no version of {name}')


def inputs_digest() -> str:
    """Changes when ``.venv`` has to: other pins, another script, or a moved checkout."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in [Path(__file__), *sorted(REQUIREMENTS.glob('*.txt'))]:
        digest.update(path.name.encode() + b'\0' + path.read_bytes())
    return digest.hexdigest()


def python_tag(version: tuple[int, ...]) -> str:
    return f'cp{version[0]}{version[1]}'


# ---------------------------------------------------------------- the environment


class Environment:
    """A virtual environment, its stamp and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.python = path / 'bin' / 'python'
        self.stamp = path / 'uniformer_mm.json'
        self.unfinished = path / 'uniformer_mm.installing'
        self.log = path / 'setup.log'

    def python_version(self) -> tuple[int, int] | None:
        """Minor version of its interpreter; None if there is no usable environment."""
        config = self.path / 'pyvenv.cfg'
        if not self.python.exists() or not config.is_file():
            return None
        match = re.search(r'^version\s*=\s*(\d+)\.(\d+)', config.read_text(), re.MULTILINE)
        return (int(match[1]), int(match[2])) if match else None

    def is_current(self) -> bool:
        """Whether a finished set-up with today's inputs is there."""
        try:
            stamp = json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return False
        wheel = os.environ.get('MMCV_WHEEL')
        identity = file_identity(Path(wheel)) if wheel else None
        return (
            not self.unfinished.exists()
            and stamp.get('inputs') == inputs_digest()
            and self.python_version() == tuple(stamp.get('python', ()))
            and (not os.environ.get('BASE_PYTHON') or self.python_version() == sys.version_info[:2])
            and (not wheel or (identity is not None and stamp.get('mmcv_wheel') == identity))
        )

    def write_stamp(self) -> None:
        wheel = os.environ.get('MMCV_WHEEL')
        stamp = {
            'inputs': inputs_digest(),
            'python': self.python_version(),
            'mmcv_wheel': file_identity(Path(wheel)) if wheel else None,
        }
        part = self.stamp.with_suffix('.part')
        part.write_text(json.dumps(stamp) + '\n')
        part.replace(self.stamp)

    def create(self, lock: int) -> None:
        """Starts anew unless what is there can be updated in place; complete it is no longer."""
        self.stamp.unlink(missing_ok=True)
        reason = None
        if self.unfinished.exists():
            reason = 'an installation into it was cut short'
        elif self.path.exists() and self.python_version() is None:
            reason = 'its interpreter is gone'
        elif os.environ.get('BASE_PYTHON') and self.python_version() not in (
            None,
            sys.version_info[:2],
        ):
            reason = f'it has Python {self.python_version()[0]}.{self.python_version()[1]}'
        elif self.path.exists() and not scripts_fit(self.path):
            reason = 'its scripts are incomplete or belong to another folder'
        if reason:
            say(f'{self.path.name} is made anew: {reason}')
            shutil.rmtree(self.path)
        if not self.path.exists():
            say(f'creating {self.path.name} with Python {platform.python_version()}')
            self.path.mkdir()
            with self.installing():
                run([sys.executable, '-m', 'venv', str(self.path)], self.log, lock=lock)

    @contextlib.contextmanager
    def installing(self) -> Iterator[None]:
        """Marks the time in which a sudden end would leave a half-installed package."""
        self.unfinished.touch()
        try:
            yield
        except SetupError:  # pip has rolled back
            self.unfinished.unlink()
            raise
        self.unfinished.unlink()

    def pip_install(self, *arguments: str, lock: int) -> None:
        command = [str(self.python), '-m', 'pip', 'install', '--progress-bar', 'off']
        command += ['-c', str(CONSTRAINTS), *find_links(), *arguments]
        with self.installing():
            run(command, self.log, lock=lock, on_line=report_pip)

    def query(self, code: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(self.python), '-c', code],
            capture_output=True,
            text=True,
            env=clean_environment(),
            check=False,
        )


def scripts_fit(path: Path) -> bool:
    """Whether the scripts of an environment start the interpreter of this very folder."""
    pip = path / 'bin' / 'pip'
    # A path too long for a shebang stands in the second line.
    return pip.is_file() and f'{path}/bin/' in ''.join(pip.read_text().splitlines(True)[:2])


def file_identity(path: Path) -> list[str | int] | None:
    """What changes when a file does; None if there is no such file."""
    if not path.is_file():
        return None
    stat = path.stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]


def find_links() -> list[str]:
    folder = os.environ.get('FIND_LINKS')
    return ['--find-links', str(Path(folder).resolve())] if folder else []


def clean_environment(**extra: str) -> dict[str, str]:
    """The caller's environment without what would mix other packages into ours."""
    dropped = ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_USER', 'PIP_CONSTRAINT')
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return {
        **kept,
        'PYTHONNOUSERSITE': '1',
        'PIP_DISABLE_PIP_VERSION_CHECK': '1',
        'PIP_NO_INPUT': '1',
        **extra,
    }


# ---------------------------------------------------------------- running things


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[int]:
    """Holds a lock file; the system lets go of it when the last holder ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('a') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f'waiting for another process that is {what}')
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def die_with_parent() -> None:
    """Has Linux end the calling process when its parent ends, even by kill -9."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def run(
    command: list[str],
    log: Path,
    *,
    lock: int,
    on_line: Callable[[str], None] = lambda line: None,
    environment: dict[str, str] | None = None,
) -> None:
    """Runs a command with its output in a log file.

    Args:
        command: Program and arguments.
        log: File to append the output to.
        lock: Descriptor of the lock; the command inherits it, so that nobody else starts before it
            has really ended.
        on_line: Called with each line of output.
        environment: Defaults to ``clean_environment()``.

    Raises:
        SetupError: If the command fails, with the end of its output.
    """
    tail: list[str] = []
    with log.open('a', errors='replace') as file:
        file.write(f'\n$ {shlex.join(command)}\n')
        file.flush()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            env=environment or clean_environment(),
            pass_fds=(lock,),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        try:
            for line in process.stdout:
                file.write(line)
                tail = [*tail[-24:], line.rstrip()]
                on_line(line)
            code = process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if code:
        raise SetupError(
            '\n'.join(f'  | {line}' for line in tail)
            + f'\nfailed with status {code}: {shlex.join(command)}\nfull log: {log}'
        )


def report_pip(line: str) -> None:
    """Shows the downloads that take time and the start of the installation."""
    match = re.match(r'\s*Downloading (\S+?)(?:-py\d|-cp\d|\.tar)\S* \((\d+)\.?\d* (MB|GB)\)', line)
    if match and (match[3] == 'GB' or int(match[2]) >= 20):
        say(f'  downloading {match[1].rsplit("/", 1)[-1]} ({match[2]} {match[3]})')
    elif line.startswith('Installing collected packages:') and ',' in line:
        say(f'  installing {line.count(",") + 1} packages')


# ---------------------------------------------------------------- compiled wheels


def wheel_misfit(path: Path, name: str, python: tuple[int, int]) -> str | None:
    """Why a wheel cannot be installed here, from its file name; None if it can."""
    parts = path.name[: -len('.whl')].split('-') if path.suffix == '.whl' else []
    if len(parts) not in (5, 6):
        return 'it is not named like a wheel (name-version-python-abi-platform.whl)'
    found, version, tags, machine = parts[0].lower(), parts[1], parts[-3], parts[-1]
    if found != name:
        return f'it is a wheel of {found}, not of {name}'
    if version.split('+')[0] != pinned(name):
        return f'it is version {version}; {pinned(name)} is needed'
    if python_tag(python) not in tags.split('.'):
        return f'it is built for {tags}; this is {python_tag(python)}'
    if not machine.endswith(platform.machine()) or 'linux' not in machine:
        return f'it is built for {machine}; this is {sysconfig.get_platform()}'
    return None


def given_wheel(name: str, python: tuple[int, int]) -> Path | None:
    """The wheel that the user gave with MMCV_WHEEL or FIND_LINKS.

    Raises:
        SetupError: If wheels are given but none fits.
    """
    path = os.environ.get('MMCV_WHEEL') if name == 'mmcv' else None
    if path:
        if not Path(path).is_file():
            raise SetupError(f'MMCV_WHEEL={path}: no such file')
        candidates = [Path(path)]
    elif os.environ.get('FIND_LINKS'):
        folder = Path(os.environ['FIND_LINKS'])
        if not folder.is_dir():
            raise SetupError(f'FIND_LINKS={folder}: no such folder')
        candidates = sorted(folder.glob(f'{name}-*.whl'))
    else:
        return None
    misfits = {}
    for candidate in candidates:
        misfits[candidate] = wheel_misfit(candidate, name, python)
        if misfits[candidate] is None:
            return candidate.resolve()
    if misfits:
        reasons = '\n'.join(f'  {wheel}: {reason}' for wheel, reason in misfits.items())
        raise SetupError(
            f'no wheel given fits:\n{reasons}\nGive one that fits, or unset MMCV_WHEEL and '
            f'FIND_LINKS to have {name} compiled.'
        )
    return None


def cache_root() -> Path:
    explicit = os.environ.get('UNIFORMER_MM_CACHE')
    if explicit:
        return Path(explicit).expanduser().resolve()
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base).expanduser().resolve() / 'uniformer_mm'


def cache_key(torch_version: str, python: tuple[int, int], cuda: str | None) -> str:
    """Folder name for the wheels that fit a torch, a Python and a CUDA version (None: CPU only)."""
    suffix = f'cu{cuda.replace(".", "")}' if cuda else 'cpu'
    return f'torch{torch_version.split("+")[0]}-{python_tag(python)}-{suffix}'


def cuda_to_compile_for(torch_cuda: str | None, gpu_visible: bool) -> str | None:
    """The CUDA version that mmcv's ops are compiled for; None for CPU only."""
    if torch_cuda is None:
        return None
    if os.environ.get('FORCE_CUDA') == '1':
        return torch_cuda
    home = os.environ.get('CUDA_HOME')
    nvcc = shutil.which('nvcc') or (home and shutil.which('nvcc', path=str(Path(home, 'bin'))))
    if gpu_visible and not nvcc:
        say('a GPU is there but no nvcc: the ops of mmcv are compiled for the CPU only')
    return torch_cuda if gpu_visible and nvcc else None


def max_jobs() -> int:
    """As many compilers as there are cores, but 2 GiB of available memory for each."""
    available = re.search(r'MemAvailable:\s+(\d+) kB', Path('/proc/meminfo').read_text())
    return max(1, min(len(os.sched_getaffinity(0)), int(available[1]) // 2**21))


class CompileProgress:
    """Turns ninja's ``[12/77]`` lines into a line for every tenth, or every minute if slower."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start = self.shown = time.monotonic()
        self.tenth = 0

    def __call__(self, line: str) -> None:
        match = re.match(r'\s*\[(\d+)/(\d+)\] ', line)
        if not match or int(match[2]) < 10:
            return
        done, total = int(match[1]), int(match[2])
        now = time.monotonic()
        if 10 * done // total > self.tenth or now - self.shown > 60:
            self.tenth = 10 * done // total
            self.shown = now
            minutes, seconds = divmod(round(now - self.start), 60)
            say(
                f'  {self.name}: {done} of {total} files ({100 * done // total} %), '
                f'{minutes} min {seconds:02d} s'
            )


def require_compiler() -> None:
    """Asks for what a bare machine may lack before minutes are spent on downloads."""
    compiler = os.environ.get('CXX', 'c++').split()[0]
    header = Path(sysconfig.get_path('include'), 'Python.h')
    version = f'{sys.version_info[0]}.{sys.version_info[1]}'
    if not shutil.which(compiler):
        raise SetupError(
            f'no C++ compiler ({compiler}), which mmcv and xtcocotools need.\n'
            '  Debian, Ubuntu: sudo apt-get install build-essential\n'
            '  Fedora, RHEL:   sudo dnf install gcc-c++'
        )
    if not header.is_file():
        raise SetupError(
            f"Python's headers are not there ({header}); mmcv and xtcocotools need them.\n"
            f'  Debian, Ubuntu: sudo apt-get install python{version}-dev\n'
            '  Fedora, RHEL:   sudo dnf install python3-devel'
        )


def build_wheel(environment: Environment, name: str, folder: Path, extra: dict[str, str]) -> Path:
    """Compiles a package into the cache, or finds it there.

    The wheel appears in ``folder`` in one step, when it is complete.
    """
    pattern = f'{name}-{pinned(name)}-*.whl'
    with locked(folder / f'.{name}.lock', f'compiling {name}') as lock:
        ready = sorted(folder.glob(pattern))
        if ready:
            say(f'{name} {pinned(name)}: already compiled, in {folder}')
            return ready[0]
        require_compiler()
        for leftover in folder.glob(f'.{name}-*'):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
        log = folder / f'{name}.log'
        log.unlink(missing_ok=True)
        announce_compilation(name, folder, extra)
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f'.{name}-', dir=folder) as scratch:
            command = [str(environment.python), '-m', 'pip', 'wheel', '-v', '--no-build-isolation']
            command += ['--no-deps', '--no-cache-dir', '--no-binary', name, '-w', scratch]
            command += ['-c', str(CONSTRAINTS), *find_links(), name]
            try:
                run(
                    command,
                    log,
                    lock=lock,
                    on_line=CompileProgress(name),
                    environment=clean_environment(
                        TMPDIR=scratch,
                        PATH=f'{environment.path / "bin"}{os.pathsep}{os.environ["PATH"]}',  # ninja
                        **extra,
                    ),
                )
            except SetupError as error:
                raise SetupError(f'{name} did not compile\n{error}') from None
            built = next(Path(scratch).glob(pattern))
            wheel = built.replace(folder / built.name)
        minutes, seconds = divmod(round(time.monotonic() - start), 60)
        say(f'  compiled in {minutes} min {seconds:02d} s: {wheel}')
        return wheel


def announce_compilation(name: str, folder: Path, extra: dict[str, str]) -> None:
    if name != 'mmcv':
        say(f'compiling {name} {pinned(name)} (seconds, once); cached in {folder}')
        return
    target = 'the CPU' if extra.get('CUDA_VISIBLE_DEVICES') == '' else 'CPU and CUDA (takes longer)'
    jobs = int(extra['MAX_JOBS'])
    minutes = max(1, round(2 * MMCV_MINUTES_ON_TWO_CORES / jobs))
    say(
        f'compiling mmcv {pinned(name)} with its ops for {target}: no ready wheel fits this torch. '
        f'About {minutes} minutes with {jobs} compiler{"s" if jobs > 1 else ""}, once; '
        f'cached in {folder}'
    )


def install_compiled(environment: Environment, name: str, lock: int) -> None:
    """Installs mmcv or xtcocotools from the user's wheel, the cache or the compiler, and tries it.

    Raises:
        SetupError: If what is installed does not work; it is removed again.
    """
    version = f'import importlib.metadata as m; assert m.version({name!r}) == {pinned(name)!r}\n'
    wheel = given_wheel(name, environment.python_version())
    asked = name == 'mmcv' and os.environ.get('MMCV_WHEEL')
    if not asked and environment.query(version + CHECKS[name]).returncode == 0:
        return
    if wheel:
        say(f'{name}: using {wheel}')
        remedy = f'Give a wheel that was built for torch {pinned("torch")}.'
    else:
        answer = environment.query(
            'import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())'
        )
        if answer.returncode:
            raise SetupError(f'torch does not import:\n{answer.stderr}')
        torch_version, torch_cuda, gpu = answer.stdout.split()
        cuda = cuda_to_compile_for(None if torch_cuda == 'None' else torch_cuda, gpu == 'True')
        extra = {'MAX_JOBS': os.environ.get('MAX_JOBS') or str(max_jobs())}
        if name == 'mmcv':
            extra['MMCV_WITH_OPS'] = '1'
        if cuda is None:  # mmcv's own rule would otherwise compile for any GPU it sees
            extra['CUDA_VISIBLE_DEVICES'] = ''
        key = cache_key(torch_version, environment.python_version(), cuda)
        wheel = build_wheel(environment, name, cache_root() / 'wheels' / key, extra)
        remedy = f'To compile it again: rm {shlex.quote(str(wheel))} and repeat.'
    environment.pip_install('--no-deps', '--force-reinstall', str(wheel), lock=lock)
    trial = environment.query(CHECKS[name])
    if trial.returncode:
        run(
            [str(environment.python), '-m', 'pip', 'uninstall', '-y', name],
            environment.log,
            lock=lock,
        )
        raise SetupError(
            f'{wheel} was installed but does not work, so it was removed again:\n'
            f'{trial.stderr.rstrip()}\n{remedy}'
        )


# ---------------------------------------------------------------- the steps


def set_up(environment: Environment, lock: int) -> None:
    start = time.monotonic()
    found = environment.python_version()
    version = sys.version_info[:2] if found is None or os.environ.get('BASE_PYTHON') else found
    if found is None:
        try:
            import ensurepip  # noqa: F401  (Debian splits it from the interpreter)
        except ImportError:
            raise SetupError(
                'this Python cannot make virtual environments: ensurepip is missing.\n'
                f'  Debian, Ubuntu: sudo apt-get install python{version[0]}.{version[1]}-venv'
            ) from None
    for name in COMPILED:  # fail now rather than after the downloads
        cached = cache_root().glob(f'wheels/*-{python_tag(version)}-*/{name}-{pinned(name)}-*.whl')
        if given_wheel(name, version) is None and not any(cached):
            require_compiler()

    environment.create(lock)
    say('1/5 build tools')
    environment.pip_install(*BUILD_TOOLS, lock=lock)
    say(f'2/5 torch {pinned("torch")} and torchvision {pinned("torchvision")}')
    environment.pip_install(*TORCH, lock=lock)
    say('3/5 the OpenMMLab libraries and what they need')
    environment.pip_install('--no-build-isolation', *ordinary_packages(), lock=lock)
    environment.pip_install('--no-deps', *NO_DEPS, lock=lock)
    say('4/5 compiled packages')
    for name in COMPILED:
        install_compiled(environment, name, lock)
    say('5/5 uniformer_mm itself, in place')
    environment.pip_install('--no-deps', '--no-build-isolation', '-e', str(ROOT), lock=lock)

    check = subprocess.run(
        [str(environment.python), str(ROOT / 'tools' / 'check_env.py'), '--quiet'],
        env=clean_environment(),
        check=False,
    )
    if check.returncode:
        raise SetupError('the environment is not complete; see the table above')
    environment.write_stamp()
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    say(f'{environment.path.name} is ready ({minutes} min {seconds:02d} s)')


def main() -> int:
    if not (3, 10) <= sys.version_info[:2] < (3, 13):
        print(f'error: Python 3.10 to 3.12 is needed, this is {sys.version}', file=sys.stderr)
        return 1
    environment = Environment(ROOT / '.venv')
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if environment.is_current():
            return 0
        with locked(ROOT / '.venv.lock', f'setting up {environment.path}') as lock:
            if not environment.is_current():
                set_up(environment, lock)
    except (SetupError, OSError) as error:
        print(f'[setup] error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\n[setup] interrupted; the same command takes it up again', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
