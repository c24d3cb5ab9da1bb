#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs one fuzz program for SEGUE_FUZZ_SECONDS (default 5) from its committed corpus, in a scratch
# directory, so that findings of one run never dirty the tree. The seed is fixed, so that a change
# is not refused for what another one brought; SEGUE_FUZZ_SEED=0 (./test soak) takes a new one.
set -eu
program=$1 corpus=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/work"
[ -d "$corpus" ] || corpus=
cd "$scratch"
"$program" -seed="${SEGUE_FUZZ_SEED:-1}" -max_total_time="${SEGUE_FUZZ_SECONDS:-5}" \
  -timeout=60 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 work $corpus
