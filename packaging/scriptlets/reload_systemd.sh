# shellcheck shell=sh
# A running mount is never restarted: its files are in the memory of the daemon. The daemon continues
# to run the program that it was started from, even if that file is replaced or removed.
reload_systemd() {
  if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload || true
  fi
}
