// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests and fuzzers: every struct of every schema of this room, behind one shape.
#pragma once

#include <vector>

#include "rpc/event.schema_samples.h"
#include "rpc/header.schema_samples.h"
#include "rpc/migration.schema_samples.h"
#include "rpc/qemu.schema_samples.h"
#include "rpc/remote.schema_samples.h"
#include "rpc/remote_types.schema_samples.h"

namespace segue::rpc {

struct AnyMessage {
    const char* name;
    // A random one, written.
    Result<Bytes> (*sample)(XdrSample& sample);
    // Reads one and writes it again.
    Result<Bytes> (*again)(ByteView bytes);
};

template <class T>
Result<Bytes> write_whole(const T& value) {
    Bytes bytes;
    XdrWriter writer(bytes);
    write(writer, value);
    TRY(writer.finish("test"));
    return bytes;
}

template <class T>
Result<Bytes> write_sample(XdrSample& sample) {
    T value;
    fill(sample, value);
    return write_whole(value);
}

template <class T>
Result<Bytes> read_and_write(ByteView bytes) {
    XdrReader reader(bytes);
    T value;
    read(reader, value);
    TRY(reader.finish("test"));
    return write_whole(value);
}

struct CollectMessages {
    std::vector<AnyMessage> all;

    template <class T>
    void visit(const char* name) {
        all.push_back({name, &write_sample<T>, &read_and_write<T>});
    }
};

inline std::vector<AnyMessage> every_message() {
    CollectMessages collect;
    for_each_header_struct(collect);
    remote::for_each_remote_types_struct(collect);
    remote::for_each_remote_struct(collect);
    migration::for_each_migration_struct(collect);
    event::for_each_event_struct(collect);
    qemu::for_each_qemu_struct(collect);
    return collect.all;
}

}  // namespace segue::rpc
