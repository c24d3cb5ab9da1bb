// SPDX-License-Identifier: LGPL-2.1-or-later
// What nearly every file includes, parsed once (cmake/Room.cmake). Never included by hand: each
// file names what it uses, and must build without it (-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON).
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/result.h"
