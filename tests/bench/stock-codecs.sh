#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds the stock codecs (LZ, GLZ, QUIC of spice-server; with its source, GLZ's decoder of
# spice-gtk) as one shared object, the peer of spice_codec_bench. Needs unpacked `apt-get source
# spice spice-gtk`, libglib2.0-dev, libpixman-1-dev and libspice-protocol-dev.
#
#   tests/bench/stock-codecs.sh SPICE_SOURCE OUTPUT.so [SPICE_GTK_SOURCE]
#   SEGUE_STOCK_CODECS=OUTPUT.so build/release/bin/spice_codec_bench
set -eu
source=$1 output=$2 gtk=${3:-}
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
if [ -n "$gtk" ]; then
  # Its coroutines are not wanted: every picture is there when it is asked for.
  cat > "$scratch/alone.c" <<'END'
void *g_coroutine_self(void) { return 0; }
int g_coroutine_condition_wait(void *self, int (*ready)(void *), void *data) { return ready(data); }
int spice_util_get_debug(void) { return 0; }
END
  for file in "$gtk"/src/decode-glz.c "$common"/common/canvas_utils.c "$scratch"/alone.c; do
    # shellcheck disable=SC2086
    cc $flags -I"$gtk/src" -c "$file" -o "$scratch/$(basename "$file").o"
  done
fi
# shellcheck disable=SC2046
cc -shared -o "$output" "$scratch"/*.o $(pkg-config --libs glib-2.0 gthread-2.0 pixman-1) \
  -lpthread
