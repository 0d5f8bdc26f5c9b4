#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Run a script in a windowed Blender on a virtual screen, and photograph the screen.
#
# usage: gui_run.sh SCRIPT.py SHOT.png [SECONDS_BEFORE_THE_SHOT]        inside the chroot, e.g.
#   BIND=$PWD tools/gui/in_chroot.sh build/gui-chroot tools/gui/gui_run.sh S.py build/gui/S.png 9
#
# The script must quit Blender itself. It can take more pictures of its own with
# `import -window root FILE.png`, a program of ImageMagick: DISPLAY is set.
# Exit status: Blender's; 124 when it ran past GUI_TIMEOUT seconds (default 150).
# Blender's output is in SHOT.log.
set -euo pipefail
script=$1
shot=$2
wait_seconds=${3:-9}

scratch=$(mktemp -d)
xvfb='' manager=''
cleanup() {
  for pid in $manager $xvfb; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$scratch"
}
trap cleanup EXIT

export LIBGL_ALWAYS_SOFTWARE=1 GALLIUM_DRIVER=llvmpipe
export XDG_RUNTIME_DIR=$scratch/runtime
export BLENDER_USER_RESOURCES=${BLENDER_USER_RESOURCES:-$scratch/blender}
mkdir -m 700 "$XDG_RUNTIME_DIR"
mkdir -p "$BLENDER_USER_RESOURCES" "$(dirname "$shot")"

# -displayfd: the server picks a free display and says which one when it is ready.
Xvfb -displayfd 3 -screen 0 1600x900x24 +extension GLX +iglx -nolisten tcp \
  3>"$scratch/display" >/dev/null 2>&1 &
xvfb=$!
for _ in $(seq 100); do
  [ -s "$scratch/display" ] && break
  sleep 0.1
done
DISPLAY=:$(<"$scratch/display")
export DISPLAY
openbox >/dev/null 2>&1 &
manager=$!
sleep 1
xdotool mousemove 1599 899 # in the middle of the screen it makes a tooltip appear

# A native picture is needed: bpy.ops.screen.screenshot is all black on software rendering.
timeout --kill-after=5 "${GUI_TIMEOUT:-150}" blender --factory-startup \
  --app-template Video_Editing --window-geometry 0 0 1600 900 --python-exit-code 1 \
  --python "$script" >"${shot%.png}.log" 2>&1 &
blender=$!
sleep "$wait_seconds"
import -window root "$shot"
wait "$blender"
