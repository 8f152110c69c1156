#!/bin/bash
# The page of the metrics port in a real browser: its numbers are those of df, and names of files stay
# text.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need curl python3 setpriv
# Ubuntu has Chromium as a snap only. There, the documents are checked, and not what becomes of them.
browser=true
if ! command -v chromium >/dev/null; then
  if grep -qsx 'ID=debian' /etc/os-release; then fail "chromium is not installed"; fi
  browser=false
fi

port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
url=http://127.0.0.1:$port
start() {
  start_memfuse "$MOUNT" --size=64m --nr_inodes=1000 \
    --quota='uid:1000=8m,path:/secret/tree=16m/100' "--metrics_listen=127.0.0.1:$port" "$@"
}
status_of() { curl --silent --output "$WORK/body" --write-out '%{http_code}' "$@"; }

# dom FILE: the document that the browser has made of the page after some seconds of its own clock.
dom() {
  timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-breakpad --disable-crash-reporter \
    --user-data-dir="$WORK/chromium" --virtual-time-budget=3000 --dump-dom "$url/" \
    >"$1" 2>"$WORK/chromium.log" || fail "no document: $(<"$WORK/chromium.log")"
}
# text_of FILE ID: the text that the element shows. Fails if there is none.
text_of() {
  python3 - "$1" "$2" <<'PYTHON'
import html.parser, sys

class Text(html.parser.HTMLParser):
    """The text of an element; its depth is 0 outside of it."""
    empty = {"meta", "link", "br", "img"}
    depth, text, hidden = 0, [], False

    def handle_starttag(self, tag, attributes):
        assert tag not in ("img", "iframe"), f"a file name has become <{tag}>"
        attributes = dict(attributes)
        if self.depth or attributes.get("id") == sys.argv[2]:
            if not self.depth:
                self.hidden = "hidden" in attributes
            self.depth += tag not in self.empty

    def handle_endtag(self, tag):
        self.depth -= self.depth > 0 and tag not in self.empty

    def handle_data(self, data):
        if self.depth:
            self.text.append(data)

parser = Text()
parser.feed(open(sys.argv[1], encoding="utf-8").read())
if parser.hidden or not parser.text:
    sys.exit(1)
print(" ".join(parser.text))
PYTHON
}
# shows FILE ID TEXT
shows() {
  local text
  text=$(text_of "$1" "$2") || fail "nothing in $2"
  [[ $text == *"$3"* ]] || fail "'$3' is not in $2: $text"
}
field() { df --block-size=1 --output="$1" "$MOUNT" | tail -n 1 | tr -d ' %'; }

# Without permission there is no path of the mount.
start
[[ $(status_of "$url/") == 200 ]] || fail "no page"
curl --silent --dump-header "$WORK/header" "$url/" >/dev/null
for line in "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'" \
  'x-content-type-options: nosniff' 'etag: "'; do
  grep -qiF "$line" "$WORK/header" || fail "no '$line' in $(<"$WORK/header")"
done
if grep -qi cookie "$WORK/header"; then fail "a cookie"; fi
etag=$(sed -n 's/^etag: \(.*\)\r$/\1/Ip' "$WORK/header")
[[ $(status_of --header "If-None-Match: $etag" "$url/") == 304 ]] || fail "the page is sent again"
[[ $(status_of --header 'Host: evil.example' "$url/status.json") == 421 ]] || fail "another host"
[[ $(status_of --header "Host: localhost:$port" "$url/status.json") == 200 ]] || fail "localhost"
[[ $(status_of "$url/directories.json?path=/") == 403 ]] || fail "directories without permission"
for document in status.json metrics; do
  if curl --silent "$url/$document" | grep secret; then fail "a path in $document"; fi
done
if $browser; then
  dom "$WORK/dom"
  shows "$WORK/dom" no-directories '--metrics_show_directories'
  if text_of "$WORK/dom" directories; then fail "directories without permission"; fi
  shows "$WORK/dom" refusals 'No limit has refused anything.'
fi
stop_memfuse "$MOUNT"

# Data of several users, hostile names, a refusal.
start --metrics_show_directories
chmod 1777 "$MOUNT"
user() { setpriv --reuid="$1" --regid="$1" --clear-groups -- "${@:2}"; }
markup='<img src=x onerror=document.title="executed">'
no_utf8=$'no\xff\xfeutf8'
mkdir "$MOUNT/$markup" "$MOUNT/$no_utf8"
head -c 4M /dev/zero >"$MOUNT/$markup/file"
head -c 2M /dev/zero >"$MOUNT/$no_utf8/file"
user 1001 mkdir "$MOUNT/user"
user 1001 head -c 3M /dev/zero | user 1001 tee "$MOUNT/user/file" >/dev/null
user 1000 mkdir "$MOUNT/limited"
if user 1000 head -c 9M /dev/zero | user 1000 tee "$MOUNT/limited/file" >/dev/null 2>&1; then
  fail "beyond the quota"
fi
# A walk waits until 19 times the duration of the last one has passed.
has_no_utf8() { [[ $(status_of "$url/directories.json?path=/no%FF%FEutf8") == 200 ]]; }
wait_until 60 has_no_utf8 || fail "a name that is no UTF-8"

if $browser; then
  # What the kernel has not forgotten yet is in use on the page, and free for df.
  is_settled() { ! curl --silent "$url/metrics" | grep -q '^memfuse_removed_[a-z]* [1-9]'; }
  wait_until 10 is_settled || fail "removed inodes"
  dom "$WORK/dom"
  size=$(field size) used=$(field used) inodes=$(field iused)
  ((size == 64 << 20)) || fail "the size is $size"
  shows "$WORK/dom" space "of 64 MiB · $((used * 100 / size)) %"
  shows "$WORK/dom" space "$inodes of 1,000"
  shows "$WORK/dom" quotas 'User 1000, bytes'
  shows "$WORK/dom" quotas 'Directory /secret/tree, inodes'
  shows "$WORK/dom" users 'User 1001 3 MiB in 2 inodes'
  shows "$WORK/dom" treemap "$markup/"
  shows "$WORK/dom" treemap 'no��utf8/'
  shows "$WORK/dom" treemap 'limited/'
  shows "$WORK/dom" bytes-chart 'now: '
  shows "$WORK/dom" operations 'LOOKUP'
  shows "$WORK/dom" refusals 'User 1000, bytes'
  shows "$WORK/dom" state 'Live'
  if grep -q '<title>executed' "$WORK/dom"; then fail "a file name was executed"; fi
fi
stop_memfuse "$MOUNT"
