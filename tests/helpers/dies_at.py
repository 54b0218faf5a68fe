"""Runs a tool that dies at its N-th change of a file: ``dies_at.py N FOLDER TOOL [arguments]``.

Changes are the opening of a file to write, a renaming and a removal, anywhere below FOLDER and by
the process itself. N = 0 never dies; the changes are printed at the end.
"""

import os
import runpy
import signal
import sys

from mmengine.config import Config

CHANGES = ('open', 'os.rename', 'os.remove')


def main() -> None:
    fatal, folder = int(sys.argv[1]), os.path.realpath(sys.argv[2])
    del sys.argv[:3]
    process, count = os.getpid(), 0

    def watch(event: str, args: tuple) -> None:
        nonlocal count
        if event not in CHANGES or os.getpid() != process:
            return
        path, reading = args[0], event == 'open' and not args[2] & (os.O_WRONLY | os.O_RDWR)
        if reading or not isinstance(path, str) or not path.startswith(folder):
            return
        count += 1
        if count == fatal:
            os.kill(process, signal.SIGKILL)

    # Formatted for every checkpoint, the config takes longer than the training.
    Config.pretty_text = property(lambda self: '# left out')
    sys.addaudithook(watch)
    runpy.run_path(sys.argv[0], run_name='__main__')
    print(f'{count} changes')


if __name__ == '__main__':
    main()
