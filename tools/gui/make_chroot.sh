#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Make a Debian 13 chroot that holds a real Blender 4.3.2 and a virtual screen (80 s, 2 GB).
#
# usage: tools/gui/make_chroot.sh [DIR]      default: build/gui-chroot
#
# Needs root on a Debian-like system. Does nothing when DIR is complete; an interrupted attempt
# is finished by running it again. Debian 12's own Blender (3.4.1) is older than the extension's
# minimum, which is why the chroot exists.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${1:-$here/../../build/gui-chroot}

[ -e "$dir/.complete" ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "make_chroot.sh: debootstrap and chroot need root; this is user $(id -un). Run it with sudo." >&2
  exit 2
fi
if ! command -v debootstrap >/dev/null; then
  apt-get update -q
  apt-get install -qy --no-install-recommends debootstrap
fi
mkdir -p "$dir"
if [ ! -e "$dir/.bootstrapped" ]; then
  debootstrap --variant=minbase trixie "$dir"
  touch "$dir/.bootstrapped"
fi
# shellcheck disable=SC2016 # expanded by the shell inside the chroot
"$here/in_chroot.sh" "$dir" bash -euc '
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -qy --no-install-recommends blender xvfb xauth x11-utils xdotool imagemagick \
    openbox libgl1-mesa-dri libegl1 libgl1 libglx-mesa0 python3-numpy python3-venv
  apt-get clean'
touch "$dir/.complete"
