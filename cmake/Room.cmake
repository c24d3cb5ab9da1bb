# SPDX-License-Identifier: LGPL-2.1-or-later
# segue_room(NAME USES a b … [LIBRARIES x y …]) makes one room of this folder:
#   *.cpp        the static library segue_NAME
#   *_test.cpp   NAME_test, each case a CTest case
#   *_fuzz.cpp   one libFuzzer program each (preset fuzz), run for a few seconds by CTest
#   *_bench.cpp  NAME_bench (Google Benchmark), never a test
# SUBFOLDERS names folders whose sources belong to this room too. EXCLUDE names main programs.
# ALONE names files that a unity build leaves by themselves (* for all): a short name of theirs,
# like State, is another file's too.
# PRECOMPILE names headers of the room that cost every file much, to be parsed once.
function(segue_room name)
  cmake_parse_arguments(room "" ""
    "USES;LIBRARIES;SUBFOLDERS;EXCLUDE;ALONE;TEST_LIBRARIES;PRECOMPILE" ${ARGN})
  set(patterns "*.cpp")
  foreach(folder ${room_SUBFOLDERS})
    list(APPEND patterns "${folder}/*.cpp")
  endforeach()
  file(GLOB all CONFIGURE_DEPENDS RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" ${patterns})
  list(REMOVE_ITEM all "" ${room_EXCLUDE})
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|bench)\\.cpp$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  set(fuzzers ${all})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cpp$")
  set(benches ${all})
  list(FILTER benches INCLUDE REGEX "_bench\\.cpp$")

  set(uses ${room_USES})
  list(TRANSFORM uses PREPEND segue_)
  if(sources)
    add_library(segue_${name} STATIC ${sources})
    target_link_libraries(segue_${name} PUBLIC segue_flags ${uses} ${room_LIBRARIES})
    segue_precompile(segue_${name} ${room_PRECOMPILE})
    if(SEGUE_UNITY AND NOT room_ALONE STREQUAL "*")
      set_target_properties(segue_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
      set_source_files_properties(${room_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    endif()
  else()
    add_library(segue_${name} INTERFACE)
    target_link_libraries(segue_${name} INTERFACE segue_flags ${uses} ${room_LIBRARIES})
  endif()
  if(tests AND BUILD_TESTING)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE segue_${name} ${room_TEST_LIBRARIES}
      GTest::gmock GTest::gtest_main)
    # What is tested is optimised; the tests themselves are compiled once and run once.
    target_compile_options(${name}_test PRIVATE -O0)
    segue_precompile_test(${name}_test)
    gtest_discover_tests(${name}_test TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST
      DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300 LABELS unit)
  endif()
  if(SEGUE_FUZZ)
    foreach(fuzzer ${fuzzers})
      segue_fuzzer(${name} ${fuzzer})
    endforeach()
  endif()
  if(benches AND BUILD_TESTING AND NOT SEGUE_FUZZ)
    add_executable(${name}_bench ${benches})
    target_link_libraries(${name}_bench PRIVATE segue_${name} benchmark::benchmark_main)
  endif()
endfunction()

# One precompiled header for all libraries and one for all tests: a cold build is mostly the parsing
# of the standard library otherwise. ccache needs to be told that this is on purpose.
add_library(segue_precompiled OBJECT "${PROJECT_SOURCE_DIR}/src/base/precompiled.cpp")
target_link_libraries(segue_precompiled PRIVATE segue_flags fmt::fmt tl::expected)
target_precompile_headers(segue_precompiled PRIVATE "${PROJECT_SOURCE_DIR}/src/base/precompiled.h")
function(segue_precompile target)
  if(ARGN)
    target_precompile_headers(${target} PRIVATE
      "${PROJECT_SOURCE_DIR}/src/base/precompiled.h" ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM segue_precompiled)
  endif()
endfunction()

# Programs are compiled as -fPIE and libraries as -fPIC, so tests need a header of their own: that
# of the first room.
function(segue_precompile_test target)
  if(target STREQUAL base_test)
    target_precompile_headers(base_test PRIVATE "${PROJECT_SOURCE_DIR}/src/base/precompiled.h"
      <gmock/gmock.h> <gtest/gtest.h>)
  else()
    target_precompile_headers(${target} REUSE_FROM base_test)
  endif()
endfunction()

# Its inputs in ./test and ./test soak: tests/fuzz.sh. A corpus is kept in tests/corpus/<program>,
# when it has one.
function(segue_fuzzer room file)
  get_filename_component(program ${file} NAME_WE)
  set(program ${room}_${program})
  add_executable(${program} ${file})
  target_compile_options(${program} PRIVATE -fsanitize=fuzzer)
  target_link_options(${program} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${program} PRIVATE segue_${room})
  add_test(NAME fuzz.${program} COMMAND "${PROJECT_SOURCE_DIR}/tests/fuzz.sh"
    $<TARGET_FILE:${program}> "${PROJECT_SOURCE_DIR}/tests/corpus/${program}")
  set_tests_properties(fuzz.${program} PROPERTIES LABELS fuzz)
endfunction()

include(GoogleTest)

# All that a user runs, and nothing of the tests: a cold build of it takes two thirds of the time.
add_custom_target(programs)

# segue_program(NAME ROOM MAIN.cpp …): one executable of the contract, in build/<preset>/bin.
function(segue_program name room)
  add_executable(${name} ${ARGN})
  add_dependencies(programs ${name})
  target_link_libraries(${name} PRIVATE segue_${room})
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
