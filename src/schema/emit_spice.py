# SPDX-License-Identifier: LGPL-2.1-or-later
"""C++ for SPICE's encoding: little endian, packed, offsets from the start of the body.

The generated functions call src/spice/wire/encoding.h, which holds the checks.
"""
from pathlib import Path

import cpp
import model
from cpp import identifier, type_name
from model import SchemaError

PREAMBLE = "// SPDX-License-Identifier: LGPL-2.1-or-later"
DIRECTIONS = ("server", "client")


def emit(schema, include_of):
    """Returns {suffix: text}: the header, the source, and the list of peer constants."""
    return {".h": header(schema, include_of), ".cpp": source(schema, include_of),
            ".numbers.inc": numbers(schema)}


def generated_from(schema):
    return [PREAMBLE, f"// Generated from {Path(schema.path).name}: change that."]


# --- Sizes ----------------------------------------------------------------------------------------

def least_size(kind):
    """The least bytes a value takes: bounds the count of an array by what is left of a message."""
    if isinstance(kind, model.Scalar):
        return model.SCALARS[kind.name]
    if isinstance(kind, model.Named):
        target = kind.target
        if isinstance(target, model.Enum):
            return model.SCALARS[target.scalar]
        return sum(least_size(field.type) for field in target.fields if not field.condition)
    if isinstance(kind, model.FixedBytes):
        return kind.size.value
    if isinstance(kind, model.FixedArray):
        return kind.size.value * least_size(kind.element)
    if isinstance(kind, (model.Text, model.Array)):
        return prefix_size(kind)
    if isinstance(kind, model.Offset):
        return 4 + prefix_size(kind.inner)
    if isinstance(kind, model.Optional):
        return least_size(kind.inner) if isinstance(kind.inner, model.Offset) else 0
    return 0


def prefix_size(kind):
    length = getattr(kind, "length", None)
    return model.SCALARS[length.scalar] if isinstance(length, model.LengthPrefix) else 0


# --- Header ---------------------------------------------------------------------------------------

def header(schema, include_of):
    lines = generated_from(schema)
    lines += cpp.comment(schema.doc)
    lines += ["#pragma once", "", '#include "spice/wire/encoding.h"']
    lines += [f'#include "{include_of(imported)}.h"' for imported in schema.imports]
    lines += ["", f"namespace {cpp.namespace(schema)} {{", ""]
    for declaration in schema.declarations:
        if isinstance(declaration, model.Limit):
            lines += cpp.declare_limit(declaration)
        elif isinstance(declaration, model.Enum):
            lines += cpp.declare_enum(declaration)
        else:
            lines += declare_struct(declaration, schema)
    if schema.protocol:
        lines += dispatchers(schema)
    lines += [f"}}  // namespace {cpp.namespace(schema)}"]
    flags = [each for each in schema.of(model.Enum) if each.is_flags]
    if flags:
        lines += ["", "namespace segue::spice::wire {"]
        lines += [f"template <>\ninline constexpr bool is_flag_set<{cpp.namespace(schema)}::"
                  f"{each.name}> = true;" for each in flags]
        lines += ["}  // namespace segue::spice::wire"]
    return "\n".join(lines) + "\n"


def declare_struct(struct, schema):
    lines = cpp.comment(struct.doc) + [f"struct {struct.name} {{"]
    area = schema.protocol or schema.namespace[-1]
    lines.append(f'    static constexpr const char* kName = "{area}.{cpp.snake(struct.name)}";')
    if isinstance(struct, model.Message):
        for direction in DIRECTIONS:
            if direction in struct.numbers:
                lines.append(f"    static constexpr std::uint16_t kFrom{direction.title()} = "
                             f"{struct.numbers[direction]};")
    for field in struct.fields:
        if field.is_member:
            lines += cpp.member(field, schema)
    same = f"const {struct.name}&"
    lines += ["", f"    friend bool operator==({same}, {same}) = default;", "};",
              f"void read(BodyReader& reader, {struct.name}& value);",
              f"void write(BodyWriter& writer, const {struct.name}& value);", ""]
    return lines


def messages_from(schema, direction):
    return [each for each in schema.of(model.Message) if direction in each.numbers]


def dispatchers(schema):
    """One switch a direction: number -> parse -> handler(message). The handler returns Result<>."""
    lines = []
    for direction in DIRECTIONS:
        messages = messages_from(schema, direction)
        if not messages:
            continue
        lines += cpp.comment(f"Parses a body that the {direction} sent and calls handler(message), "
                             "an overload set that returns Result<>.")
        lines += ["template <class Handler>",
                  f"Result<> dispatch_from_{direction}(std::uint16_t number, "
                  "const SharedBytes& body, Handler&& handler) {", "    switch (number) {"]
        for message in messages:
            lines += [f"        case {message.name}::kFrom{direction.title()}:",
                      f"            return handler(TRY(parse<{message.name}>(body)));"]
        lines += [f'        default: return unknown_message("{schema.protocol}", "{direction}", '
                  "number);", "    }", "}",
                  f"std::string_view name_from_{direction}(std::uint16_t number);", ""]
    return lines


# --- Source ---------------------------------------------------------------------------------------

def source(schema, include_of):
    lines = generated_from(schema)
    lines += [f'#include "{include_of(schema)}.h"', "", f"namespace {cpp.namespace(schema)} {{", ""]
    for declaration in schema.declarations:
        if isinstance(declaration, model.Enum):
            lines += cpp.define_enum(declaration)
        elif isinstance(declaration, model.Struct):
            lines += Reader(declaration, schema).function() + Writer(declaration, schema).function()
    for direction in DIRECTIONS:
        if schema.protocol and messages_from(schema, direction):
            lines += name_function(schema, direction)
    lines += [f"}}  // namespace {cpp.namespace(schema)}"]
    return "\n".join(lines) + "\n"


def name_function(schema, direction):
    lines = [f"std::string_view name_from_{direction}(std::uint16_t number) {{",
             "    switch (number) {"]
    for message in messages_from(schema, direction):
        number = f"{message.name}::kFrom{direction.title()}"
        lines.append(f"        case {number}: return {message.name}::kName;")
    return lines + ["    }", '    return "unknown";', "}", ""]


class Function:
    """What reading and writing a struct have in common: conditions, unions, field names."""

    def __init__(self, struct, schema):
        self.struct, self.schema = struct, schema

    def error(self, field, text):
        place = f"{self.struct.name}.{field.name}"
        return SchemaError(f"{self.schema.path}:{field.line}: {place}: {text}")

    def limit(self, limit):
        return cpp.constant(limit, self.schema)

    def body(self):
        lines = []
        for field in self.struct.fields:
            block = self.field(field)
            if field.condition:
                block = [f"if ({self.condition(field.condition)}) {{"] + indented(block) + ["}"]
            lines += block
        return lines

    def condition(self, condition):
        subject = self.struct.field(condition.field)
        left = f"value.{identifier(condition.field)}"
        right = cpp.label(subject.type, condition.label, self.schema)
        return {"is": f"{left} == {right}", "is_not": f"{left} != {right}",
                "has": f"has({left}, {right})", "lacks": f"!has({left}, {right})"}[condition.test]

    def image_size(self, length):
        return f"image_size({length.bits}, value.{length.width}, value.{length.height})"


def indented(lines):
    return ["    " + line for line in lines]


class Reader(Function):
    def function(self):
        lines = self.body()
        names = ("[[maybe_unused]] " if not lines else "")
        parameters = f"{names}BodyReader& reader, {names}{self.struct.name}& value"
        return [f"void read({parameters}) {{"] + indented(lines) + ["}", ""]

    def field(self, field):
        if field.constant is not None:
            scalar = cpp.SCALAR_TYPES[field.type.name]
            return [f'reader.constant<{scalar}>("{field.name}", {field.constant:#x});']
        if field.counts:
            counted = self.struct.field(field.counts)
            inner = stripped(counted.type)
            scalar = cpp.SCALAR_TYPES[field.type.name]
            return [f'const std::size_t {field.name} = reader.count<{scalar}>("{field.name}", '
                    f"{self.limit(inner.limit)});"]
        return self.value(field, field.type, f"value.{identifier(field.name)}")

    def value(self, field, kind, target, reader="reader"):
        name = f'"{field.name}"'
        if isinstance(kind, model.Scalar):
            maximum = f", {self.limit(kind.maximum)}" if kind.maximum else ""
            return [f"{reader}.scalar({name}, {target}{maximum});"]
        if isinstance(kind, model.Named):
            if isinstance(kind.target, model.Enum):
                return [f"{reader}.scalar({name}, {target});"]
            return [f"read({reader}, {target});"]
        if isinstance(kind, model.FixedBytes):
            return [f"{reader}.bytes({name}, {target}.data(), {target}.size());"]
        if isinstance(kind, model.FixedArray):
            return [f"{reader}.array({name}, {target});"]
        if isinstance(kind, (model.Text, model.Array)):
            before, size = self.size(field, kind)
            return before + self.sized(field, kind, target, size, reader)
        if isinstance(kind, model.Offset):
            return self.offset(field, kind.inner, target, False)
        if isinstance(kind, model.Optional) and isinstance(kind.inner, model.Offset):
            return self.offset(field, kind.inner.inner, target, True)
        if isinstance(kind, model.Union) and kind.on_field:
            return self.union(field, kind, target)
        raise self.error(field, "SPICE's encoding has no such type")

    def size(self, field, kind):
        """(lines before, expression) of the size of a variable value."""
        length, limit = kind.length, self.limit(kind.limit)
        local = f"{field.name}_size"
        if isinstance(length, model.LengthPrefix):
            scalar = cpp.SCALAR_TYPES[length.scalar]
            return [f'const std::size_t {local} = reader.count<{scalar}>("{field.name}", {limit});'
                    ], local
        if isinstance(length, model.LengthField):
            counter = self.struct.field(length.name)
            if counter.counts:
                return [], length.name
            expression = f"value.{identifier(length.name)}"
        elif isinstance(length, model.LengthImage):
            expression = self.image_size(length)
        elif isinstance(length, model.LengthRest):
            expression = "reader.remaining()"
            if isinstance(kind, model.Array):
                expression += f" / {least_size(kind.element)}"
        else:
            raise self.error(field, "SPICE's encoding needs a stated length")
        return [f'const std::size_t {local} = '
                f'reader.checked("{field.name}", {expression}, {limit});'], local

    def sized(self, field, kind, target, size, reader):
        name = f'"{field.name}"'
        if isinstance(kind, model.Array):
            return [f"{reader}.array({name}, {target}, {size}, {least_size(kind.element)});"]
        if kind.kind == "string":
            return [f"{reader}.text({name}, {target}, {size}, {str(kind.terminated).lower()});"]
        return [f"{reader}.{kind.kind}({name}, {target}, {size});"]

    def offset(self, field, inner, target, is_optional):
        at = f"{field.name}_at"
        may_miss = str(is_optional).lower()
        opening = f'if (auto {at} = reader.at_offset("{field.name}", {may_miss})) {{'
        if isinstance(inner, (model.Text, model.Array)):
            before, size = self.size(field, inner)
            return before + [opening] + indented(self.sized(field, inner, target, size, f"(*{at})")
                                                 ) + ["}"]
        place = f"{target}.emplace()" if is_optional else target
        return [opening] + indented(self.value(field, inner, place, f"(*{at})")) + ["}"]

    def union(self, field, union, target):
        subject = self.struct.field(union.on_field)
        lines = [f"switch (value.{identifier(union.on_field)}) {{"]
        for case in union.cases:
            for text in case.labels:
                lines.append("    default:" if text == "default"
                             else f"    case {cpp.label(subject.type, text, self.schema)}:")
            if case.type is not None:
                place = f"{target}.emplace<{type_name(case.type, self.schema)}>()"
                lines += indented(indented(self.value(field, case.type, place)))
            lines.append("        break;")
        if not any("default" in case.labels for case in union.cases):
            number = f"static_cast<std::uint64_t>(value.{identifier(union.on_field)})"
            lines += ["    default:", f"        reader.fail(ReadFailure::Kind::unknown_value, "
                      f'"{union.on_field}", {number});']
        return lines + ["}"]


def stripped(kind):
    while isinstance(kind, (model.Optional, model.Offset)):
        kind = kind.inner
    return kind


class Writer(Function):
    def function(self):
        lines = self.body()
        names = ("[[maybe_unused]] " if not lines else "")
        parameters = f"{names}BodyWriter& writer, {names}const {self.struct.name}& value"
        return [f"void write({parameters}) {{"] + indented(lines) + ["}", ""]

    def field(self, field):
        if field.constant is not None:
            scalar = cpp.SCALAR_TYPES[field.type.name]
            return [f"writer.scalar<{scalar}>({field.constant:#x});"]
        if field.counts:
            counted = self.struct.field(field.counts)
            inner = stripped(counted.type)
            return [self.count(field.name, field.type.name, inner,
                               f"value.{identifier(counted.name)}")]
        return self.value(field, field.type, f"value.{identifier(field.name)}")

    def count(self, name, scalar, kind, target):
        terminator = " + 1" if getattr(kind, "terminated", False) else ""
        return (f'writer.count<{cpp.SCALAR_TYPES[scalar]}>("{name}", {target}.size(){terminator}, '
                f"{self.limit(kind.limit)});")

    def value(self, field, kind, target, writer="writer"):
        name = f'"{field.name}"'
        if isinstance(kind, model.Scalar):
            if kind.maximum:
                return [f"{writer}.scalar({name}, {target}, {self.limit(kind.maximum)});"]
            return [f"{writer}.scalar({target});"]
        if isinstance(kind, model.Named):
            if isinstance(kind.target, model.Enum):
                return [f"{writer}.scalar({target});"]
            return [f"write({writer}, {target});"]
        if isinstance(kind, model.FixedBytes):
            return [f"{writer}.bytes({target});"]
        if isinstance(kind, model.FixedArray):
            return [f"{writer}.array({target});"]
        if isinstance(kind, (model.Text, model.Array)):
            return self.size(field, kind, target) + [self.sized(kind, target)]
        if isinstance(kind, model.Offset):
            return self.offset(field, kind.inner, target, False)
        if isinstance(kind, model.Optional) and isinstance(kind.inner, model.Offset):
            return self.offset(field, kind.inner.inner, target, True)
        if isinstance(kind, model.Union) and kind.on_field:
            return self.union(field, kind, target)
        raise self.error(field, "SPICE's encoding has no such type")

    def size(self, field, kind, target):
        length = kind.length
        if isinstance(length, model.LengthPrefix):
            return [self.count(field.name, length.scalar, kind, target)]
        lines = [f'writer.check("{field.name}", {target}.size(), {self.limit(kind.limit)});']
        if isinstance(length, model.LengthField):
            if self.struct.field(length.name).counts:
                return []
            lines.append(f'writer.agree("{field.name}", {target}.size() == '
                         f"value.{identifier(length.name)});")
        if isinstance(length, model.LengthImage):
            lines.append(f'writer.agree("{field.name}", {target}.size() == '
                         f"{self.image_size(length)});")
        return lines

    def sized(self, kind, target, writer="writer"):
        if isinstance(kind, model.Array):
            return f"{writer}.array({target});"
        if kind.kind == "string":
            return f"{writer}.text({target}, {str(kind.terminated).lower()});"
        return f"{writer}.{kind.kind}({target});"

    def offset(self, field, inner, target, is_optional):
        """Writes the offset now and the value at the end of the message."""
        name = type_name(inner, self.schema)
        if isinstance(inner, (model.Text, model.Array)):
            before = self.size(field, inner, target)
            put, empty = [self.sized(inner, "object", "later")], f"{target}.empty()"
            place = f"&{target}"
        else:
            before, put = [], self.value(field, inner, "object", "later")
            place, empty = (f"&*{target}", f"!{target}") if is_optional else (f"&{target}", None)
        deferred = [f"writer.offset({place}, [](BodyWriter& later, const void* pointer) {{",
                    f"    const auto& object = *static_cast<const {name}*>(pointer);"]
        deferred += indented(put) + ["});"]
        if not is_optional:
            return before + deferred
        if isinstance(inner, (model.Text, model.Array)) and isinstance(inner.length,
                                                                      model.LengthPrefix):
            scalar = cpp.SCALAR_TYPES[inner.length.scalar]
            nothing = [f"writer.scalar<{scalar}>(0);", "writer.null_offset();"]
        else:
            nothing = ["writer.null_offset();"]
        return ([f"if ({empty}) {{"] + indented(nothing) + ["} else {"]
                + indented(before + deferred) + ["}"])

    def union(self, field, union, target):
        subject = self.struct.field(union.on_field)
        lines = [f"switch (value.{identifier(union.on_field)}) {{"]
        for case in union.cases:
            for text in case.labels:
                lines.append("    default:" if text == "default"
                             else f"    case {cpp.label(subject.type, text, self.schema)}:")
            if case.type is not None:
                name = type_name(case.type, self.schema)
                lines += [f"        if (const auto* chosen = std::get_if<{name}>(&{target})) {{"]
                lines += indented(indented(indented(self.value(field, case.type, "(*chosen)"))))
                lines += ["        } else {", f'            writer.agree("{field.name}", false);',
                          "        }"]
            lines.append("        break;")
        if not any("default" in case.labels for case in union.cases):
            lines += ["    default:", f'        writer.agree("{field.name}", false);']
        return lines + ["}"]


# --- The list for the test that compares numbers with the peer's header ---------------------------

def numbers(schema):
    lines = generated_from(schema)
    lines.append("// SEGUE_NUMBER(ours, the constant of spice-protocol)")
    space = cpp.namespace(schema)
    for enum in schema.of(model.Enum):
        for value in enum.values:
            if value.constant:
                lines.append(f"SEGUE_NUMBER({space}::{enum.name}::{identifier(value.name)}, "
                             f"{value.constant})")
    for message in schema.of(model.Message):
        for direction, name in message.constants.items():
            lines.append(f"SEGUE_NUMBER({space}::{message.name}::kFrom{direction.title()}, {name})")
    return "\n".join(lines) + "\n"
