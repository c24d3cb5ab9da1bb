#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs one fuzz program from its committed corpus, in a scratch directory, so that findings of one
# run never dirty the tree. In ./test the inputs are the same each time, on any machine: a seed, a
# count (fuzz-runs.txt) and addresses that do not change, so that no change is refused for what
# another one brought. SEGUE_FUZZ_SECONDS (./test soak) takes new inputs for that long.
set -eu
program=$1 corpus=$2
name=$(basename "$program")
if [ -n "${SEGUE_FUZZ_SECONDS:-}" ]; then
  inputs="-seed=0 -max_total_time=$SEGUE_FUZZ_SECONDS"
else
  runs=$(awk -v name="$name" '$1 == name { print $2 }' "$(dirname "$0")/fuzz-runs.txt")
  inputs="-seed=1 -runs=${runs:-20000}"
  fixed="setarch $(uname -m) -R"
  # A container may forbid it.
  ! $fixed true 2>/dev/null || program="$fixed $program"
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/work"
[ -d "$corpus" ] || corpus=
cd "$scratch"
$program $inputs -reload=0 -timeout=60 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
  work $corpus
