# SPDX-License-Identifier: LGPL-2.1-or-later
"""C++ for messages in XDR (RFC 4506), as libvirt's RPC carries them.

Structs with readers and writers, one tag type per procedure and event, and the table of both. A
second header makes random samples of every struct, for tests and fuzzers. `u8`, `u16`, `i8` and
`i16` take four bytes, as XDR has it.
"""
from pathlib import Path

import cpp
import model
from cpp import identifier, snake

# A fixed field of this limit is a Uuid.
UUID_LIMIT = "uuid_size"
SMALL = ("bool", "u8", "u16", "i8", "i16", "u32", "i32")
METHODS = {"bool": "boolean"}


def emit(schema, include_of):
    return {".h": header(schema, include_of), ".cpp": source(schema, include_of),
            "_samples.h": samples(schema, include_of)}


def indented(lines):
    return ["    " + line if line else line for line in lines]


# --- Types ----------------------------------------------------------------------------------------

def type_name(kind, schema):
    if isinstance(kind, model.FixedBytes) and kind.size.name == UUID_LIMIT:
        return "Uuid"
    if isinstance(kind, model.Optional):
        return f"std::optional<{type_name(kind.inner, schema)}>"
    if isinstance(kind, model.Array):
        return f"std::vector<{type_name(kind.element, schema)}>"
    if isinstance(kind, model.FixedArray):
        return f"std::array<{type_name(kind.element, schema)}, {cpp.constant(kind.size, schema)}>"
    return cpp.type_name(kind, schema)


def smallest(kind):
    """The fewest bytes that a value can take on the wire."""
    if isinstance(kind, model.Scalar):
        return 4 if kind.name in SMALL else 8
    if isinstance(kind, model.Named):
        if isinstance(kind.target, model.Enum):
            return 4
        return sum(smallest(field.type) for field in kind.target.fields)
    if isinstance(kind, model.FixedBytes):
        return (kind.size.value + 3) // 4 * 4
    if isinstance(kind, model.FixedArray):
        return kind.size.value * smallest(kind.element)
    if isinstance(kind, model.Union):
        cases = [smallest(case.type) if case.type else 0 for case in kind.cases]
        return 4 + min(cases)
    return 4


def structs(schema):
    return [each for each in schema.declarations if isinstance(each, model.Struct)]


def check(schema, struct):
    for field in struct.fields:
        if field.counts or field.condition or field.constant is not None:
            raise model.SchemaError(f"{schema.path}:{field.line}: {struct.name}.{field.name}: "
                                    "XDR has no such field")


# --- Header ---------------------------------------------------------------------------------------

def header(schema, include_of):
    lines = ["// SPDX-License-Identifier: LGPL-2.1-or-later",
             f"// Generated from {include_of(schema)} by src/schema/emit_xdr.py.",
             "#pragma once", "", "#include <array>", "#include <cstdint>", "#include <optional>",
             "#include <span>",
             "#include <string>", "#include <string_view>", "#include <variant>",
             "#include <vector>", "", '#include "base/bytes.h"', '#include "base/id.h"',
             '#include "rpc/procedure.h"', '#include "rpc/xdr.h"']
    lines += [f'#include "{include_of(each)}.h"' for each in schema.imports]
    lines += [""] + cpp.comment(schema.doc) + [f"namespace {cpp.namespace(schema)} {{", ""]
    if schema.number is not None:
        lines += [f"inline constexpr std::uint32_t kProgram = {schema.number:#x};", ""]
    for declaration in schema.declarations:
        if isinstance(declaration, model.Limit):
            lines += cpp.declare_limit(declaration)
        elif isinstance(declaration, model.Enum):
            lines += cpp.declare_enum(declaration)
        elif isinstance(declaration, model.Struct):
            check(schema, declaration)
            lines += declare_struct(schema, declaration)
        elif isinstance(declaration, (model.Procedure, model.Event)):
            lines += declare_procedure(schema, declaration)
    if schema.number is not None:
        lines += ["// Every procedure and event of the program, by number.",
                  "std::span<const rpc::ProcedureInfo> procedures();", ""]
    return "\n".join(lines + ["}  // namespace " + cpp.namespace(schema), ""])


def declare_struct(schema, struct):
    lines = cpp.comment(struct.doc) + [f"struct {struct.name} {{"]
    for field in struct.fields:
        lines += cpp.comment(field.doc, "    ")
        lines.append(f"    {type_name(field.type, schema)} {identifier(field.name)}{{}};")
    name = struct.name
    lines += ["", f"    friend bool operator==(const {name}&, const {name}&) = default;", "};",
              f"void read(rpc::XdrReader& reader, {struct.name}& value);",
              f"void write(rpc::XdrWriter& writer, const {struct.name}& value);", ""]
    return lines


def body_name(schema, named):
    return type_name(named, schema) if named else "Nothing"


def declare_procedure(schema, declaration):
    lines = cpp.comment(declaration.doc) + [f"struct {declaration.name} {{"]
    if isinstance(declaration, model.Procedure):
        lines += [f"    using Call = {body_name(schema, declaration.call)};",
                  f"    using Reply = {body_name(schema, declaration.reply)};"]
    else:
        lines += [f"    using Body = {body_name(schema, declaration.body)};"]
    if schema.number is not None:
        lines.append("    static constexpr std::uint32_t kProgram = "
                     f"{cpp.namespace(schema)}::kProgram;")
    lines += [f"    static constexpr std::int32_t kNumber = {declaration.number};",
              f'    static constexpr std::string_view kName = "{snake(declaration.name)}";',
              "};", ""]
    return lines


# --- Source ---------------------------------------------------------------------------------------

def source(schema, include_of):
    lines = ["// SPDX-License-Identifier: LGPL-2.1-or-later",
             f"// Generated from {include_of(schema)} by src/schema/emit_xdr.py.",
             f'#include "{include_of(schema)}.h"', "", f"namespace {cpp.namespace(schema)} {{", ""]
    for declaration in schema.declarations:
        if isinstance(declaration, model.Enum):
            lines += cpp.define_enum(declaration)
        elif isinstance(declaration, model.Struct):
            lines += function(schema, declaration, "read", read_value)
            lines += function(schema, declaration, "write", write_value)
    if schema.number is not None:
        lines += table(schema)
    return "\n".join(lines + ["}  // namespace " + cpp.namespace(schema), ""])


def function(schema, struct, verb, emit_value):
    kind = {"read": "rpc::XdrReader& reader", "write": "rpc::XdrWriter& writer"}[verb]
    const = "const " if verb == "write" else ""
    body = []
    for field in struct.fields:
        body += emit_value(schema, field, field.type, f"value.{identifier(field.name)}")
    unused = "" if body else "[[maybe_unused]] "
    return ([f"void {verb}({unused}{kind}, {unused}{const}{struct.name}& value) {{"]
            + indented(body) + ["}", ""])


def read_value(schema, field, kind, target):
    name = f'"{field.name}"'
    if isinstance(kind, model.Scalar):
        return [f"{target} = reader.{METHODS.get(kind.name, kind.name)}();"]
    if isinstance(kind, model.Named):
        if isinstance(kind.target, model.Enum):
            enum = type_name(kind, schema)
            lines = [f"{target} = static_cast<{enum}>(reader.i32());"]
            if not kind.target.is_open:
                lines.append(f"reader.require({name}, is_known({target}));")
            return lines
        return [f"read(reader, {target});"]
    if isinstance(kind, model.FixedBytes):
        inner = f"{target}.bytes" if type_name(kind, schema) == "Uuid" else target
        return [f"reader.fixed({inner});"]
    if isinstance(kind, model.Text):
        verb = "text" if kind.kind == "string" else "opaque"
        return [f"{target} = reader.{verb}({name}, {cpp.constant(kind.limit, schema)});"]
    if isinstance(kind, model.Optional):
        inner = read_value(schema, field, kind.inner, f"{target}.emplace()")
        return ["if (reader.present()) {"] + indented(inner) + ["}"]
    if isinstance(kind, model.FixedArray):
        return ([f"for (auto& element : {target}) {{"]
                + indented(read_value(schema, field, kind.element, "element")) + ["}"])
    if isinstance(kind, model.Array):
        limit = cpp.constant(kind.limit, schema)
        return ([f"{target}.resize(reader.count({name}, {limit}, {smallest(kind.element)}));",
                 f"for (auto& element : {target}) {{"]
                + indented(read_value(schema, field, kind.element, "element")) + ["}"])
    return read_union(schema, field, kind, target)


def read_union(schema, field, union, target):
    enum = type_name(union.on_type, schema)
    lines = [f"switch (static_cast<{enum}>(reader.i32())) {{"]
    for case in union.cases:
        for text in case.labels:
            lines.append(f"    case {cpp.label(union.on_type, text, schema)}: {{")
        if case.type is not None:
            place = f"{target}.emplace<{type_name(case.type, schema)}>()"
            lines += indented(indented(read_value(schema, field, case.type, place)))
        lines += ["        break;", "    }"]
    return lines + [f'    default: reader.require("{field.name}", false);', "}"]


def write_value(schema, field, kind, target):
    name = f'"{field.name}"'
    if isinstance(kind, model.Scalar):
        return [f"writer.{METHODS.get(kind.name, kind.name)}({target});"]
    if isinstance(kind, model.Named):
        if isinstance(kind.target, model.Enum):
            return [f"writer.i32(static_cast<std::int32_t>({target}));"]
        return [f"write(writer, {target});"]
    if isinstance(kind, model.FixedBytes):
        inner = f"{target}.bytes" if type_name(kind, schema) == "Uuid" else target
        return [f"writer.fixed({inner});"]
    if isinstance(kind, model.Text):
        verb = "text" if kind.kind == "string" else "opaque"
        return [f"writer.{verb}({name}, {target}, {cpp.constant(kind.limit, schema)});"]
    if isinstance(kind, model.Optional):
        return ([f"writer.u32({target} ? 1 : 0);", f"if ({target}) {{"]
                + indented(write_value(schema, field, kind.inner, f"(*{target})")) + ["}"])
    if isinstance(kind, (model.FixedArray, model.Array)):
        lines = []
        if isinstance(kind, model.Array):
            limit = cpp.constant(kind.limit, schema)
            lines.append(f"writer.count({name}, {target}.size(), {limit});")
        return (lines + [f"for (const auto& element : {target}) {{"]
                + indented(write_value(schema, field, kind.element, "element")) + ["}"])
    return write_union(schema, field, kind, target)


def write_union(schema, field, union, target):
    lines = []
    for index, case in enumerate(union.cases):
        name = type_name(case.type, schema) if case.type else "std::monostate"
        label = cpp.label(union.on_type, case.labels[0], schema)
        chosen = f"chosen{index}"
        start = "if" if not lines else "} else if"
        lines.append(f"{start} (const auto* {chosen} = std::get_if<{name}>(&{target})) {{")
        lines.append(f"    writer.i32(static_cast<std::int32_t>({label}));")
        lines += (indented(write_value(schema, field, case.type, f"(*{chosen})")) if case.type
                  else [f"    static_cast<void>({chosen});"])
    return lines + ["} else {", f'    writer.require("{field.name}", false);', "}"]


def table(schema):
    declared = [each for each in schema.declarations
                if isinstance(each, (model.Procedure, model.Event))]
    declared.sort(key=lambda each: each.number)
    lines = ["std::span<const rpc::ProcedureInfo> procedures() {",
             "    static constexpr rpc::ProcedureInfo kTable[] = {"]
    for each in declared:
        access = each.access if isinstance(each, model.Procedure) else "event"
        stream = each.stream if isinstance(each, model.Procedure) else "none"
        lines.append(f'        {{{each.number}, "{snake(each.name)}", rpc::Access::{access}, '
                     f"rpc::StreamKind::{stream}}},")
    return lines + ["    };", "    return kTable;", "}", ""]


# --- Samples --------------------------------------------------------------------------------------

def samples(schema, include_of):
    """Random values of every struct within its limits, and a visitor over all of them."""
    lines = ["// SPDX-License-Identifier: LGPL-2.1-or-later",
             f"// Generated from {include_of(schema)} by src/schema/emit_xdr.py: for tests.",
             "#pragma once", "", f'#include "{include_of(schema)}.h"',
             '#include "rpc/xdr_sample.h"']
    lines += [f'#include "{include_of(each)}_samples.h"' for each in schema.imports
              if structs(each)]
    lines += ["", f"namespace {cpp.namespace(schema)} {{", ""]
    for struct in structs(schema):
        body = []
        for field in struct.fields:
            body += fill_value(schema, field.type, f"value.{identifier(field.name)}")
        unused = "" if body else "[[maybe_unused]] "
        lines += ([f"inline void fill({unused}rpc::XdrSample& sample,",
                   f"                 {unused}{struct.name}& value) {{"]
                  + indented(body) + ["}", ""])
    stem = Path(schema.path).stem
    lines += ["// Calls visitor.visit<Struct>(name) for every struct of the file.",
              "template <class Visitor>", f"void for_each_{stem}_struct(Visitor& visitor) {{"]
    lines += [f'    visitor.template visit<{struct.name}>("{struct.name}");'
              for struct in structs(schema)]
    return "\n".join(lines + ["}", "", "}  // namespace " + cpp.namespace(schema), ""])


def fill_value(schema, kind, target):
    if isinstance(kind, model.Scalar):
        return [f"sample.scalar({target});"]
    if isinstance(kind, model.Named):
        if not isinstance(kind.target, model.Enum):
            return [f"fill(sample, {target});"]
        values = ", ".join(cpp.label(kind, value.name, schema) for value in kind.target.values)
        return [f"{target} = sample.choose({{{values}}});"]
    if isinstance(kind, model.FixedBytes):
        inner = f"{target}.bytes" if type_name(kind, schema) == "Uuid" else target
        return [f"sample.fixed({inner});"]
    if isinstance(kind, model.Text):
        return [f"sample.{kind.kind}({target}, {cpp.constant(kind.limit, schema)});"]
    if isinstance(kind, model.Optional):
        return (["if (sample.coin()) {"]
                + indented(fill_value(schema, kind.inner, f"{target}.emplace()")) + ["}"])
    if isinstance(kind, (model.FixedArray, model.Array)):
        lines = []
        if isinstance(kind, model.Array):
            lines = [f"{target}.resize(sample.count({cpp.constant(kind.limit, schema)}));"]
        return (lines + [f"for (auto& element : {target}) {{"]
                + indented(fill_value(schema, kind.element, "element")) + ["}"])
    lines = [f"switch (sample.below({len(kind.cases)})) {{"]
    for index, case in enumerate(kind.cases):
        lines.append(f"    case {index}: {{")
        if case.type:
            place = f"{target}.emplace<{type_name(case.type, schema)}>()"
            lines += indented(indented(fill_value(schema, case.type, place)))
        lines += ["        break;", "    }"]
    return lines + ["}"]
