"""What Python had when ``contrail-api-cli`` was written (2019) and has no more.

With this folder on ``PYTHONPATH`` the interpreter runs this file before anything else. The
client's own files stay as they were installed; it finds the Python it was written for:

- the abstract classes of ``collections`` under their old names (moved to ``collections.abc`` in
  3.3, the old names gone since 3.10);
- ``pathlib``'s inner ``_from_parsed_parts`` with the argument ``init``, which it had until 3.9;
- generators that a ``StopIteration`` inside ends quietly (PEP 479: since 3.7 it becomes a
  ``RuntimeError``). There is no switch for that, so modules of the client are compiled with the
  body of each generator in a ``try`` that returns on ``StopIteration``, which is what the
  interpreter did.

Runs on Python 3.11, where ``pathlib`` still has its flavours.
"""

from __future__ import annotations

import ast
import collections
import collections.abc
import importlib.abc
import importlib.machinery
import pathlib
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

CLIENT = "contrail_api_cli"

for _name in ("Iterable", "Mapping", "Sequence"):
    setattr(collections, _name, getattr(collections.abc, _name))


class _WithInit:
    """``PurePath._from_parsed_parts`` that takes ``init`` again, and ignores it."""

    def __init__(self, now: Any) -> None:
        self._now = now.__func__

    def __get__(self, instance: object, owner: type) -> Any:
        def from_parsed_parts(drive: Any, root: Any, parts: Any, init: bool = True) -> Any:
            return self._now(owner, drive, root, parts)

        return from_parsed_parts


_pure: Any = pathlib.PurePath
_pure._from_parsed_parts = _WithInit(_pure._from_parsed_parts)


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


class _QuietEnd(ast.NodeTransformer):
    """Lets ``StopIteration`` end the generator it is raised in."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        if any(isinstance(own, ast.Yield | ast.YieldFrom) for own in _own(node)):
            end = ast.ExceptHandler(
                type=ast.Name(id="StopIteration", ctx=ast.Load()),
                name=None,
                body=[ast.Return(value=None)],
            )
            body: ast.stmt = ast.Try(body=node.body, handlers=[end], orelse=[], finalbody=[])
            node.body = [body]
        return node


class _OldLoader(importlib.machinery.SourceFileLoader):
    """Compiles from the source always: the bytecode beside it knows no old generators."""

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        code = compile(ast.fix_missing_locations(_QuietEnd().visit(tree)), path, "exec")
        assert isinstance(code, types.CodeType)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the client's modules where they are, for ``_OldLoader``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != CLIENT:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _OldLoader(spec.loader.name, spec.loader.path)
        return spec


sys.meta_path.insert(0, _Finder())
