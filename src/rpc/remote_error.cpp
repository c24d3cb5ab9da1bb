// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/remote_error.h"

#include <string_view>

namespace segue::rpc {
namespace {

// virErrorDomain: where an error comes from.
constexpr std::int32_t kFromRpc = 7;
constexpr std::int32_t kFromQemu = 10;
constexpr std::int32_t kFromDomain = 20;
constexpr std::int32_t kLevelError = 2;

// VIR_ERR_CPU_INCOMPATIBLE (domain/guest_cpu.h): nothing but its words matters to anybody.
constexpr auto kCpuIncompatible = static_cast<ErrorCode>(91);

// What users know each code by (the texts of libvirt's virterror.c). Codes from 500 on are ours.
struct Known {
    ErrorCode code;
    std::int32_t number;
    std::int32_t from;
    std::string_view lead;
};
constexpr Known kKnown[] = {
    {ErrorCode::internal, 1, kFromQemu, "internal error"},
    {ErrorCode::no_memory, 2, kFromQemu, "out of memory"},
    {ErrorCode::no_support, 3, kFromRpc, "this function is not supported by the connection driver"},
    {ErrorCode::invalid_argument, 8, kFromQemu, "invalid argument"},
    {ErrorCode::operation_failed, 9, kFromQemu, "operation failed"},
    {ErrorCode::xml_invalid, 27, kFromDomain, "XML error"},
    {ErrorCode::denied, 29, kFromDomain, "operation forbidden"},
    {ErrorCode::system, 38, kFromQemu, ""},
    {ErrorCode::protocol, 39, kFromRpc, ""},
    {ErrorCode::no_domain, 42, kFromQemu, "Domain not found"},
    {ErrorCode::auth_failed, 45, kFromRpc, "authentication failed"},
    {ErrorCode::operation_invalid, 55, kFromQemu, "Requested operation is not valid"},
    {ErrorCode::config_unsupported, 67, kFromQemu, "unsupported configuration"},
    {ErrorCode::timeout, 68, kFromQemu, "Timed out during operation"},
    {ErrorCode::persist_failed, 69, kFromQemu, "Failed to make domain persistent after migration"},
    {ErrorCode::argument_unsupported, 74, kFromQemu, "argument unsupported"},
    {ErrorCode::cancelled, 78, kFromQemu, "operation aborted"},
    {kNoDomainMetadata, 80, kFromDomain, "metadata not found"},
    {ErrorCode::migrate_unsafe, 81, kFromQemu, "Unsafe migration"},
    {ErrorCode::overflow, 82, kFromQemu, "numerical overflow"},
    {ErrorCode::operation_unsupported, 84, kFromQemu, "Operation not supported"},
    {kCpuIncompatible, 91, kFromQemu, "the CPU is incompatible with host CPU"},
    {kXmlInvalidSchema, 92, kFromDomain, "XML document failed to validate against schema"},
    {ErrorCode::migrate_finish_ok, 93, kFromQemu, "migration successfully aborted"},
    {kDeviceMissing, 99, kFromQemu, "device not found"},
    {ErrorCode::exists, 9, kFromQemu, "operation failed"},
    {ErrorCode::connection_lost, 39, kFromRpc, ""},
    {ErrorCode::limit_exceeded, 9, kFromQemu, "operation failed"},
};

constexpr Known kFallback = {ErrorCode::internal, 1, kFromQemu, "internal error"};

}  // namespace

RemoteError to_remote(const Error& error) {
    Known found = kFallback;
    for (const Known& known : kKnown)
        if (known.code == error.code) found = known;
    RemoteError remote;
    remote.code = found.number;
    remote.domain = found.from;
    remote.level = kLevelError;
    const bool leads =
        !found.lead.empty() && error.message.substr(0, found.lead.size()) != found.lead;
    remote.message = leads ? fmt::format("{}: {}", found.lead, error.message) : error.message;
    if (remote.message->size() > kStringMax) remote.message->resize(kStringMax);
    return remote;
}

Error from_remote(const RemoteError& error) {
    const std::string message = error.message.value_or("the peer gave no reason");
    for (const Known& known : kKnown)
        if (known.number == error.code) return {known.code, message};
    return {ErrorCode::operation_failed, fmt::format("{} (libvirt error {})", message, error.code)};
}

}  // namespace segue::rpc
