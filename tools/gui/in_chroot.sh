#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Run a command inside the chroot, in a private mount namespace (nothing is left mounted).
#
# usage: tools/gui/in_chroot.sh DIR COMMAND...
#
#   BIND=<folder>       is seen as /project inside, writable; the command starts there
#   KEEP="NAME ..."     environment variables to pass on; all others are dropped
set -euo pipefail
dir=$1
shift

kept=()
for name in ${KEEP:-}; do
  if [ -n "${!name+set}" ]; then kept+=("$name=${!name}"); fi
done

# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare --mount --propagation private bash -euc '
  dir=$1 bind=$2
  shift 2
  mount -t proc proc "$dir/proc"
  mount --rbind /dev "$dir/dev"
  cp -L /etc/resolv.conf "$dir/etc/"
  mkdir -p "$dir/project"
  if [ -n "$bind" ]; then mount --bind "$bind" "$dir/project"; fi
  home=$(chroot "$dir" mktemp -d)
  exec chroot "$dir" env --chdir=/project -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    HOME="$home" "$@"' _ "$dir" "${BIND:-}" "${kept[@]}" "$@"
