#!/bin/bash
# The metrics of a real mount: their format, what a real Prometheus makes of them, and the queries of
# the dashboard.
set -euo pipefail
# shellcheck source=tests/testing/mount.sh
source "$WORK/mount.sh"
need curl prometheus promtool python3

use_memfusectl
read -r port server_port < <(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))')

me=$(id -u)
start_memfuse "$MOUNT" --size=64m --nr_inodes=1000 "--quota=uid:$me=32m" \
  "--metrics_listen=127.0.0.1:$port"
for i in {1..20}; do echo text >"$MOUNT/file$i"; done
head -c 5000000 /dev/zero >"$MOUNT/large"
if head -c 60000000 /dev/zero 2>/dev/null >"$MOUNT/too_large"; then fail "beyond the quota"; fi
rm "$MOUNT/too_large"

# HTTP.
metrics=http://127.0.0.1:$port/metrics
curl --silent --fail "$metrics" >"$WORK/metrics" || fail "no metrics"
promtool check metrics <"$WORK/metrics" >"$WORK/said" 2>&1 || fail "the format: $(<"$WORK/said")"
[[ ! -s $WORK/said ]] || fail "promtool says: $(<"$WORK/said")"
curl --silent --head "$metrics" | grep -qi '^content-type: text/plain; version=0.0.4' || fail "HEAD"
[[ $(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$port/v1/limits") == 404 ]] ||
  fail "another path"
[[ $(curl --silent --output /dev/null --write-out '%{http_code}' --request PUT "$metrics") == 405 ]] ||
  fail "another method"

# A port in use is one sentence, and mounts nothing.
mkdir "$WORK/second"
if "$MEMFUSE" "$WORK/second" "--metrics_listen=127.0.0.1:$port" 2>"$WORK/said"; then
  fail "a second daemon on the port"
fi
[[ $(<"$WORK/said") == "memfuse: --metrics_listen: cannot listen on port $port of 127.0.0.1: Address already in use" ]] ||
  fail "$(<"$WORK/said")"
not_mounted "$WORK/second" || fail "a mount without metrics"

# Prometheus.
cat >"$WORK/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$SOURCE/prometheus-alerts.yml]
scrape_configs:
  - job_name: memfuse
    static_configs: [{targets: ["127.0.0.1:$port"]}]
YAML
promtool check config "$WORK/prometheus.yml" >"$WORK/said" || fail "$(<"$WORK/said")"
prometheus --config.file="$WORK/prometheus.yml" --storage.tsdb.path="$WORK/tsdb" \
  --web.listen-address="127.0.0.1:$server_port" --log.level=warn 2>"$WORK/prometheus.log" &
prometheus=$!
trap 'kill "$prometheus" 2>/dev/null || true' EXIT

# query EXPRESSION: the value of its only result; nothing without a result.
query() {
  curl --silent --get --data-urlencode "query=$1" "http://127.0.0.1:$server_port/api/v1/query" |
    python3 -c 'import json, sys
result = json.load(sys.stdin)["data"]["result"]
assert len(result) <= 1, result
if result: print(result[0]["value"][1])' 2>>"$WORK/query.log"
}
has_value() { [[ $(query "$1") == "$2" ]]; }
# Rates need two scrapes. Prometheus has no event for them, so its HTTP API is asked repeatedly.
wait_until 30 has_value 'count_over_time(memfuse_info[1m]) >= bool 2' 1 ||
  fail "Prometheus has no series: $(<"$WORK/prometheus.log")"
# Requests and an error during the scrapes, for the rates.
for i in {1..20}; do
  echo text >>"$MOUNT/file$i"
  [[ ! -e $MOUNT/missing$i ]] || fail "missing$i"
done

# The values are those of df and of memfusectl.
field() { df --block-size=1 --output="$1" "$MOUNT" | tail -n 1 | tr -d ' '; }
status() { "$control" status "$MOUNT" --json | member "$@"; }
has_value memfuse_size_bytes "$(field size)" || fail "the size"
has_value memfuse_inodes_limit "$(field itotal)" || fail "the limit on inodes"
has_value "memfuse_quota_limit_bytes{kind=\"uid\",id=\"$me\"}" $((32 << 20)) || fail "the quota"
wait_until 10 has_value 'memfuse_removed_inodes' 0 || fail "removed inodes"
wait_until 10 has_value 'memfuse_inodes - memfuse_removed_inodes' "$(field iused)" ||
  fail "inodes: $(query memfuse_inodes), not $(field iused)"
for kind in data metadata; do
  wait_until 10 has_value "memfuse_used_bytes{kind=\"$kind\"}" "$(status size "$kind")" ||
    fail "$kind: $(query "memfuse_used_bytes{kind=\"$kind\"}"), not $(status size "$kind")"
done
wait_until 10 has_value "sum(memfuse_requests_total{operation=\"CREATE\"})" \
  "$(status requests by_operation CREATE)" || fail "requests"
[[ $(query "sum(memfuse_refusals_total{owner=\"uid\",id=\"$me\"}) >= bool 1") == 1 ]] || fail "refusals"
wait_until 10 has_value \
  'memfuse_request_errors_total{operation="LOOKUP",error="ENOENT"} >= bool 20' 1 || fail "errors"
wait_until 10 has_value 'sum(rate(memfuse_requests_total[1m])) > bool 0' 1 || fail "rates"

# Every query of the dashboard has a result.
python3 - "$SOURCE/grafana-dashboard.json" "http://127.0.0.1:$server_port" <<'PYTHON'
import json, sys, urllib.parse, urllib.request

dashboard = json.load(open(sys.argv[1]))
values = {"$__rate_interval": "1m", "$job": ".*", "$instance": ".*"}
expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
assert len(expressions) >= 10
for expression in expressions:
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{sys.argv[2]}/api/v1/query?{query}") as response:
        answer = json.load(response)
    assert answer["status"] == "success", (expression, answer)
    assert answer["data"]["result"], f"no result: {expression}"
for variable in dashboard["templating"]["list"]:
    if variable["type"] == "query":
        metric, label = variable["definition"][len("label_values("):-1].rsplit(", ", 1)
        query = urllib.parse.urlencode({"match[]": metric.replace("$job", ".*")})
        with urllib.request.urlopen(f"{sys.argv[2]}/api/v1/label/{label}/values?{query}") as response:
            assert json.load(response)["data"], variable["definition"]
with urllib.request.urlopen(f"{sys.argv[2]}/api/v1/rules") as response:
    rules = json.load(response)["data"]["groups"][0]["rules"]
assert len(rules) >= 5
for rule in rules:
    assert rule["health"] == "ok", rule
PYTHON

kill "$prometheus"
wait "$prometheus" || fail "Prometheus: $(<"$WORK/prometheus.log")"
stop_memfuse "$MOUNT"
