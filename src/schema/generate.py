#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turns message descriptions into C++.

  generate.py --encoding spice --root src --out build/release/generated FILE.schema…

For src/a/b.schema it writes OUT/a/b.schema.h, .cpp and what else the encoding's emitter returns,
and OUT/docs/wire-b.md. A file is touched only when its text changed.
"""
import argparse
import importlib
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import emit_docs  # noqa: E402
from loader import Loader  # noqa: E402
from model import SchemaError  # noqa: E402


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--encoding", required=True)
    arguments.add_argument("--root", required=True, type=Path)
    arguments.add_argument("--out", required=True, type=Path)
    arguments.add_argument("files", nargs="+", type=Path)
    options = arguments.parse_args()
    emitter = importlib.import_module("emit_" + options.encoding)
    root = options.root.resolve()
    loader = Loader()

    def include_of(schema):
        return Path(schema.path).relative_to(root).as_posix()

    try:
        for file in options.files:
            schema = loader.load(file)
            for suffix, text in emitter.emit(schema, include_of).items():
                write(options.out / (include_of(schema) + suffix), text)
            write(options.out / "docs" / f"wire-{file.stem}.md", emit_docs.emit(schema))
    except SchemaError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
