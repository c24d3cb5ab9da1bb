# SPDX-License-Identifier: LGPL-2.1-or-later
"""A page per schema: its messages, structs, enums and limits as Markdown tables."""
from pathlib import Path

import model


def length_text(length):
    if isinstance(length, model.LengthPrefix):
        return f", {length.scalar} size first"
    if isinstance(length, model.LengthField):
        return f", size in `{length.name}`"
    if isinstance(length, model.LengthRest):
        return ", up to the end"
    if isinstance(length, model.LengthImage):
        return f", rows of {length.bits} × `{length.width}` bits, `{length.height}` rows"
    return ""


def limit_text(limit):
    return f"{limit.name} = {limit.value}" if limit.name else str(limit.value)


def type_text(kind):
    if isinstance(kind, model.Scalar):
        return kind.name + (f" (at most {limit_text(kind.maximum)})" if kind.maximum else "")
    if isinstance(kind, model.Named):
        return f"`{kind.name}`"
    if isinstance(kind, model.FixedBytes):
        return f"{limit_text(kind.size)} bytes"
    if isinstance(kind, model.Text):
        final = ", final NUL" if kind.terminated else ""
        return f"{kind.kind}{length_text(kind.length)}{final} (at most {limit_text(kind.limit)})"
    if isinstance(kind, model.Array):
        return (f"list of {type_text(kind.element)}{length_text(kind.length)} "
                f"(at most {limit_text(kind.limit)})")
    if isinstance(kind, model.FixedArray):
        return f"{limit_text(kind.size)} × {type_text(kind.element)}"
    if isinstance(kind, model.Optional):
        return "optional " + type_text(kind.inner)
    if isinstance(kind, model.Offset):
        return "offset of " + type_text(kind.inner)
    cases = [f"{', '.join(case.labels)}: {type_text(case.type) if case.type else 'nothing'}"
             for case in kind.cases]
    return f"by `{kind.on_field or 'discriminant'}`: " + "; ".join(cases)


def field_row(field):
    text = type_text(field.type)
    if field.constant is not None:
        text += f" = {field.constant:#x}"
    notes = field.doc
    if field.counts:
        notes = f"size of `{field.counts}`. {notes}"
    if field.condition:
        words = {"is": "is", "is_not": "is not", "has": "has", "lacks": "lacks"}
        test = words[field.condition.test]
        notes = f"only when `{field.condition.field}` {test} `{field.condition.label}`. {notes}"
    return f"| `{field.name}` | {text} | {notes.strip()} |"


def struct_text(struct):
    numbers = getattr(struct, "numbers", {})
    title = ", ".join(f"{direction} {number}" for direction, number in numbers.items())
    lines = ["", f"### {struct.name}" + (f" ({title})" if title else ""), ""]
    if struct.doc:
        lines += [struct.doc, ""]
    if not struct.fields:
        return lines + ["Nothing inside."]
    return lines + ["| Field | Type | Notes |", "|---|---|---|"] + [
        field_row(field) for field in struct.fields]


def enum_text(enum):
    lines = ["", f"### {enum.name}: {enum.scalar}" + (" flags" if enum.is_flags else ""), ""]
    lines += [enum.doc, ""] if enum.doc else []
    lines += ["| Value | Number | Notes |", "|---|---|---|"]
    return lines + [f"| `{value.name}` | {value.number} | {value.doc} |" for value in enum.values]


def procedures_text(schema):
    called = schema.of(model.Procedure)
    lines = ["", "## Procedures", "", "| Number | Name | Who | Call | Reply | Stream | Notes |",
             "|---|---|---|---|---|---|---|"] if called else []
    for each in sorted(called, key=lambda one: one.number):
        call, reply = (f"`{named.name}`" if named else "" for named in (each.call, each.reply))
        stream = "" if each.stream == "none" else each.stream
        lines.append(f"| {each.number} | {each.name} | {each.access} | {call} | {reply} | {stream} "
                     f"| {each.doc} |")
    told = schema.of(model.Event)
    if told:
        lines += ["", "## Events", "", "| Number | Name | Carries | Notes |", "|---|---|---|---|"]
    for each in sorted(told, key=lambda one: one.number):
        body = f"`{each.body.name}`" if each.body else ""
        lines.append(f"| {each.number} | {each.name} | {body} | {each.doc} |")
    return lines


def emit(schema):
    called = schema.of(model.Procedure) or schema.of(model.Event)
    kind, number = ("Program", f"{schema.number or 0:#x}") if called else ("Channel", schema.number)
    title = f"{kind} {schema.protocol} ({number})" if schema.number else "Wire format"
    lines = [f"# {title}: {Path(schema.path).name}", "", schema.doc]
    for heading, kind, text in (("Messages", model.Message, struct_text),
                                ("Structures", model.Struct, struct_text),
                                ("Enums and flags", model.Enum, enum_text)):
        found = schema.of(kind)
        if found:
            lines += ["", f"## {heading}"]
        for each in found:
            lines += text(each)
    lines += procedures_text(schema)
    limits = schema.of(model.Limit)
    if limits:
        lines += ["", "## Limits", "", "| Limit | Value | Why |", "|---|---|---|"]
        lines += [f"| {each.name} | {each.value} | {each.doc} |" for each in limits]
    return "\n".join(lines) + "\n"
