"""Print the folder that holds configs and tools, or with ``weights`` the released files."""

import argparse
import json
import sys

from uniformer_mm.checkpoints.listing import describe, list_released
from uniformer_mm.errors import UserError
from uniformer_mm.home import home


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m uniformer_mm', description=__doc__)
    weights = parser.add_subparsers(dest='command').add_parser(
        'weights',
        help='list the released files, whose names stand for their addresses',
        description='List the released files: name, head_dim, what is known of SHA-256 and size, '
        'address, and the configs of their networks.',
    )
    weights.add_argument('words', nargs='*', help='only those with these words in a line')
    weights.add_argument('--json', action='store_true', help='as JSON')
    args = parser.parse_args()
    if args.command is None:
        print(home())
        return
    try:
        entries = list_released(args.words)
    except UserError as error:
        sys.exit(f'error: {error}')
    print(json.dumps(entries, indent=2) if args.json else '\n'.join(map(describe, entries)))


if __name__ == '__main__':
    main()
