#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds the stock codecs (LZ, GLZ, QUIC of spice-server) as one shared object, the peer of
# spice_codec_bench. Needs an unpacked `apt-get source spice`, libglib2.0-dev and
# libspice-protocol-dev.
#
#   tests/bench/stock-codecs.sh SPICE_SOURCE OUTPUT.so
#   SEGUE_STOCK_CODECS=OUTPUT.so build/release/bin/spice_codec_bench
set -eu
source=$1 output=$2
common=$source/subprojects/spice-common
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
printf '#define G_LOG_DOMAIN "Spice"\n#define HAVE_CONFIG_H 1\n' > "$scratch/config.h"
flags="-O2 -fPIC -w -I$scratch -I$common -I$common/common -I$source/server -DSPICE_SERVER_INTERNAL
  $(pkg-config --cflags glib-2.0 gio-2.0 spice-protocol pixman-1)"
for file in "$common"/common/lz.c "$common"/common/quic.c "$common"/common/mem.c \
  "$common"/common/log.c "$common"/common/backtrace.c \
  "$source"/server/glz-encoder.c "$source"/server/glz-encoder-dict.c; do
  # shellcheck disable=SC2086
  cc $flags -c "$file" -o "$scratch/$(basename "$file").o"
done
# shellcheck disable=SC2046
cc -shared -o "$output" "$scratch"/*.o $(pkg-config --libs glib-2.0 gthread-2.0) -lpthread
