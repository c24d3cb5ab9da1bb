# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every C++ emitter shares: names, types, comments, enums and struct declarations."""
import re
import textwrap

import model

SCALAR_TYPES = {"u8": "std::uint8_t", "u16": "std::uint16_t", "u32": "std::uint32_t",
                "u64": "std::uint64_t", "i8": "std::int8_t", "i16": "std::int16_t",
                "i32": "std::int32_t", "i64": "std::int64_t", "bool": "bool", "f64": "double"}
RESERVED = {"default", "new", "delete", "union", "register", "class", "operator", "private", "enum"}


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def camel(name):
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def identifier(name):
    return name + "_" if name in RESERVED else name


def namespace(schema):
    return "::".join(["segue"] + schema.namespace)


def constant(limit, inside=None):
    """A limit as C++ writes it: its name, qualified when another file declares it."""
    if limit.name is None:
        return str(limit.value)
    outer = limit.schema.namespace
    if inside is not None and inside.namespace[:len(outer)] != outer:
        return f"{namespace(limit.schema)}::k{camel(limit.name)}"
    return f"k{camel(limit.name)}"


def comment(text, indent="", width=98):
    if not text:
        return []
    return textwrap.wrap(text, width, initial_indent=indent + "// ",
                         subsequent_indent=indent + "// ", break_long_words=False)


def type_name(kind, schema, payload="Payload"):
    """The C++ type of a member. Offsets vanish: they are a matter of the encoding."""
    if isinstance(kind, model.Scalar):
        return SCALAR_TYPES[kind.name]
    if isinstance(kind, model.Named):
        target = kind.target
        if schema.namespace[:len(target.schema.namespace)] == target.schema.namespace:
            return target.name
        return f"{namespace(target.schema)}::{target.name}"
    if isinstance(kind, model.FixedBytes):
        return f"std::array<std::uint8_t, {constant(kind.size, schema)}>"
    if isinstance(kind, model.Text):
        return {"bytes": "Bytes", "string": "std::string", "payload": payload}[kind.kind]
    if isinstance(kind, model.Array):
        return f"std::vector<{type_name(kind.element, schema, payload)}>"
    if isinstance(kind, model.FixedArray):
        element = type_name(kind.element, schema, payload)
        return f"std::array<{element}, {constant(kind.size, schema)}>"
    if isinstance(kind, model.Offset):
        return type_name(kind.inner, schema, payload)
    if isinstance(kind, model.Optional):
        inner = kind.inner.inner if isinstance(kind.inner, model.Offset) else kind.inner
        name = type_name(inner, schema, payload)
        return name if isinstance(inner, (model.Text, model.Array)) else f"std::optional<{name}>"
    names = union_alternatives(kind, schema, payload)
    return f"std::variant<{', '.join(['std::monostate'] + names)}>"


def union_alternatives(union, schema, payload="Payload"):
    """The distinct types of a union's cases, in order."""
    names = []
    for case in union.cases:
        if case.type is not None:
            name = type_name(case.type, schema, payload)
            if name not in names:
                names.append(name)
    return names


def label(field_type, text, schema):
    """A union label or a condition's value: an enum value, or a number."""
    if isinstance(getattr(field_type, "target", None), model.Enum):
        return f"{type_name(field_type, schema)}::{identifier(text)}"
    return text


def declare_enum(enum):
    lines = comment(enum.doc)
    lines.append(f"enum class {enum.name} : {SCALAR_TYPES[enum.scalar]} {{")
    for value in enum.values:
        lines += comment(value.doc, "    ")
        number = f"{value.number:#x}" if enum.is_flags else value.number
        lines.append(f"    {identifier(value.name)} = {number},")
    lines.append("};")
    lines.append(f"std::string_view name_of({enum.name} value);")
    if enum.is_open:
        lines.append(f"constexpr bool is_known({enum.name}) {{ return true; }}")
    else:
        lines.append(f"bool is_known({enum.name} value);")
    return lines + [""]


def define_enum(enum):
    lines = [f"std::string_view name_of({enum.name} value) {{", "    switch (value) {"]
    for value in enum.values:
        name = identifier(value.name)
        lines.append(f"        case {enum.name}::{name}: return \"{value.name}\";")
    lines += ["    }", '    return "unknown";', "}", ""]
    if not enum.is_open:
        lines += [f"bool is_known({enum.name} value) {{", "    switch (value) {"]
        lines += [f"        case {enum.name}::{identifier(value.name)}:" for value in enum.values]
        lines += ["            return true;", "    }", "    return false;", "}", ""]
    return lines


def declare_limit(limit):
    return comment(limit.doc) + [
        f"inline constexpr std::uint64_t k{camel(limit.name)} = {limit.value};", ""]


def member(field, schema, payload="Payload"):
    return comment(field.doc, "    ") + [
        f"    {type_name(field.type, schema, payload)} {identifier(field.name)}{{}};"]
