# Functions for scripts that try mount(8) without installing anything: to be sourced in a mount
# namespace of one's own (unshare --mount), with
#   MEMFUSE  the program
#   BASE     an empty directory
# shellcheck shell=bash

# Installs mount.memfuse and mount.fuse.memfuse where mount(8) searches for helpers, in addition to
# the existing ones.
install_helpers() {
  local sbin
  sbin=$(readlink -f /sbin)
  mkdir "$BASE/sbin" "$BASE/sbin.real"
  mount --bind "$sbin" "$BASE/sbin.real"
  mount -t tmpfs -o mode=0755 sbin "$BASE/sbin"
  find "$BASE/sbin.real" -mindepth 1 -maxdepth 1 -exec ln -s -t "$BASE/sbin" {} +
  ln -sf "$MEMFUSE" "$BASE/sbin/mount.memfuse"
  ln -sf "$MEMFUSE" "$BASE/sbin/mount.fuse.memfuse"
  mount --bind "$BASE/sbin" "$sbin"
}

# use_fstab LINE...: makes LINE... the whole content of /etc/fstab.
use_fstab() {
  printf '%s\n' "$@" >"$BASE/fstab"
  if ! mountpoint -q /etc/fstab; then
    [[ -e /etc/fstab ]] || touch /etc/fstab
    mount --bind "$BASE/fstab" /etc/fstab
  fi
}
