# SPDX-License-Identifier: LGPL-2.1-or-later
# Compiler, warnings, sanitizers, linker and cache: the same for every room.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

# Names and lines for backtraces. Full debug information doubles the build: preset debug.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")

set(SEGUE_SANITIZE "" CACHE STRING "Sanitizers for every target, for example address,undefined")
option(SEGUE_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
option(SEGUE_UNITY "Compile the files of a room eight at a time, for a faster cold build" ON)

add_library(segue_flags INTERFACE)
target_compile_options(segue_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
  -Werror=return-type -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
# GCC 12 sees overflows in its own std::string (bug 105329), most with a precompiled header.
target_compile_options(segue_flags INTERFACE
  $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds -Wno-restrict -Wno-stringop-overflow
    -Wno-stringop-overread>)
target_compile_definitions(segue_flags INTERFACE OPENSSL_API_COMPAT=30000
  SEGUE_VERSION="${PROJECT_VERSION}" $<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)
target_include_directories(segue_flags INTERFACE
  "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/generated")
if(SEGUE_SANITIZE)
  target_compile_options(segue_flags INTERFACE -fsanitize=${SEGUE_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(segue_flags INTERFACE -fsanitize=${SEGUE_SANITIZE})
endif()

if(SEGUE_FUZZ)
  target_compile_options(segue_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_program(SEGUE_CCACHE ccache)
if(SEGUE_CCACHE)
  # Sloppy about the precompiled header's times, as ccache asks for; paths relative to the tree, so
  # that several checkouts share one cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${SEGUE_CCACHE})
endif()
find_program(SEGUE_MOLD mold)
if(SEGUE_MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_link_options(-fuse-ld=mold)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_link_options(-fuse-ld=lld)
endif()
