# SPDX-License-Identifier: LGPL-2.1-or-later
# segue_schema(ROOM ENCODING spice|xdr FILES a.schema …): generates, from each message description
# of this folder, build/<preset>/generated/<folder>/a.schema.h and .cpp and docs/wire-a.md, and adds
# the sources to the library of the room. Call it after segue_room(ROOM …). The language and its
# generator: src/schema.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

function(segue_schema room)
  cmake_parse_arguments(schema "" "ENCODING" "FILES" ${ARGN})
  set(out "${PROJECT_BINARY_DIR}/generated")
  file(RELATIVE_PATH folder "${PROJECT_SOURCE_DIR}/src" "${CMAKE_CURRENT_SOURCE_DIR}")
  set(inputs ${schema_FILES})
  list(TRANSFORM inputs PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  set(sources ${schema_FILES})
  list(TRANSFORM sources PREPEND "${out}/${folder}/")
  set(headers ${sources})
  list(TRANSFORM sources APPEND ".cpp")
  list(TRANSFORM headers APPEND ".h")
  file(GLOB generator CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/schema/*.py")
  add_custom_command(OUTPUT ${sources} ${headers}
    COMMAND "${Python3_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/src/schema/generate.py"
      --encoding ${schema_ENCODING} --root "${PROJECT_SOURCE_DIR}/src" --out "${out}" ${inputs}
    DEPENDS ${inputs} ${generator}
    COMMENT "Generating messages of ${folder}" VERBATIM)
  target_sources(segue_${room} PRIVATE ${sources} ${headers})
  # Each has helpers of the same names, and little to parse.
  set_source_files_properties(${sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
