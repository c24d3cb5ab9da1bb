# SPDX-License-Identifier: LGPL-2.1-or-later
# segue_schema(NAME FILE): generates build/generated/<dir of FILE>/<NAME>.{h,cpp} from a message
# description and defines the interface-visible library segue_schema_<NAME>.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
