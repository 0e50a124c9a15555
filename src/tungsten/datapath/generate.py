"""Writes ``abi.py``: the Python side of ``bpf/abi.h`` and ``bpf/reasons.h``.

Run as ``python -m tungsten.datapath.generate`` after a change to either header and a build
of the object, and before Python uses a new name. Structs and numbers come from the object's
BTF, the texts of drop reasons from the list in ``reasons.h``. An object is compared with the
generated module when it is loaded (`tungsten.datapath.contract`): the two cannot drift apart
unseen.
"""

from __future__ import annotations

import re
import sys

from tungsten.datapath.btf import Btf, StructType
from tungsten.datapath.contract import (
    HERE,
    OBJECT,
    STRUCTS,
    class_name,
    enum_members,
    kind_of,
    shown,
)

_HEAD = '''"""The contract with the programs, as Python: enums, layouts, texts of drop reasons.

Generated from ``bpf/abi.h`` and ``bpf/reasons.h`` by ``python -m tungsten.datapath.generate``;
change those, not this. Numbers of types and flags, and the texts, are those that operators
know from the vRouter's tools.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from tungsten.datapath.layout import Field, Layout

'''


def reason_texts(header: str) -> dict[str, str]:
    """Name and text of every drop reason, in order."""
    return dict(re.findall(r'X\((\w+),\s*"([^"]+)"\)', header))


def render(btf: Btf, header: str) -> str:
    """The text of ``abi.py``."""
    parts = [_HEAD]
    for member in btf.structs["abi"].members:
        if member.type_name in btf.enums:
            parts.append(_render_enum(member.type_name, btf.enums[member.type_name]))
    parts.append(_render_texts(reason_texts(header)))
    parts.append("STRUCTS = {\n")
    for name in STRUCTS:
        parts.append(_render_struct(btf.structs[name]))
    parts.append("}\n")
    return "".join(parts)


def _render_enum(name: str, values: dict[str, int]) -> str:
    base = "IntFlag" if name.endswith(("_flag", "_guard")) else "IntEnum"
    lines = [f'\nclass {class_name(name)}({base}):\n    """``enum {name}``."""\n\n']
    for key, value in enum_members(values):
        lines.append(f"    {key} = {hex(value) if base == 'IntFlag' else value}\n")
    return "".join(lines) + "\n"


def _render_texts(texts: dict[str, str]) -> str:
    lines = [f'    DropReason.{name}: "{text}",\n' for name, text in texts.items()]
    return f"\nDROP_TEXTS: dict[DropReason, str] = {{\n{''.join(lines)}}}\n\n"


def _render_struct(struct: StructType) -> str:
    fields = [f'Field("{m.name}", {m.offset}, {m.size}, "{kind_of(m)}"),' for m in shown(struct)]
    if len(fields) == 1:
        body = f"        ({fields[0]}),\n"
    else:
        body = "        (\n" + "".join(f"            {f}\n" for f in fields) + "        ),\n"
    head = f'    "{struct.name}": Layout(\n        "{struct.name}",\n        {struct.size},\n'
    return f"{head}{body}    ),\n"


def main() -> int:
    """Writes the module beside this one."""
    text = render(Btf.of_object(OBJECT), (HERE / "bpf" / "reasons.h").read_text())
    (HERE / "abi.py").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
