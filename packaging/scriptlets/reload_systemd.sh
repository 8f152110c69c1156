# A mount that runs is never restarted: its files are in the memory of the process that serves it,
# which goes on from the program it was started from, replaced or removed as that may be.
reload_systemd() {
  if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload || true
  fi
}
