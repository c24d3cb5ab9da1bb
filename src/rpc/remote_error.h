// SPDX-License-Identifier: LGPL-2.1-or-later
// Our errors as libvirt's clients expect them, and theirs as ours.
#pragma once

#include "base/error.h"
#include "rpc/header.schema.h"

namespace segue::rpc {

// VIR_ERR_NO_DOMAIN_METADATA: clients take it for "none", not for a failure. Nothing within Segue
// reacts to it.
inline constexpr auto kNoDomainMetadata = static_cast<ErrorCode>(80);

// VIR_ERR_DEVICE_MISSING: the domain has no device like the one that is to change.
inline constexpr auto kDeviceMissing = static_cast<ErrorCode>(99);

// VIR_ERR_XML_INVALID_SCHEMA: who asked for validation wants none of what we would only keep.
inline constexpr auto kXmlInvalidSchema = static_cast<ErrorCode>(92);

// Code and domain as libvirt numbers them, the message led by libvirt's words for the code ("Domain
// not found: …"), so that users of virsh read what they know.
RemoteError to_remote(const Error& error);

// Codes that we have no name for become operation_failed; the number is kept in the message.
Error from_remote(const RemoteError& error);

}  // namespace segue::rpc
