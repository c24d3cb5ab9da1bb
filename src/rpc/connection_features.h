// SPDX-License-Identifier: LGPL-2.1-or-later
// What a connection is asked for by number: features (VIR_DRV_FEATURE_…, libvirt_internal.h of
// libvirt 9.0) and flags of its opening (virConnectFlags).
#pragma once

#include <cstdint>

namespace segue::rpc {

inline constexpr std::int32_t kFeatureMigrationP2p = 4;
inline constexpr std::int32_t kFeatureMigrationV3 = 6;
inline constexpr std::int32_t kFeatureFdPassing = 8;
inline constexpr std::int32_t kFeatureTypedParameterStrings = 9;
inline constexpr std::int32_t kFeatureKeepAlive = 10;
inline constexpr std::int32_t kFeatureMigrationParams = 13;
inline constexpr std::int32_t kFeatureEventCallbacks = 14;
inline constexpr std::int32_t kFeatureCloseCallback = 15;

inline constexpr std::uint32_t kOpenReadOnly = 1;
inline constexpr std::uint32_t kOpenNoAliases = 2;

}  // namespace segue::rpc
