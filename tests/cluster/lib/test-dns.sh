# shellcheck shell=bash
# The zones of the tests: a PowerDNS that answers for them, an external-dns that writes into them what DNSEndpoints ask
# for, and what gives load balancers their addresses.

readonly zones_url=http://$host_address:$zones_api_port/api/v1/servers/localhost/zones
# Nobody but this machine and the pods reaches it.
readonly zones_key=backupmx-test
readonly zones_parent=zones.test

# PowerDNS, on two addresses: where CoreDNS asks it, and on port 53 of the address that the zones' NS records name, as
# whoever asks a zone's own servers does.
start_zones() {
    local folder=$run/zones
    mkdir -p "$folder"
    ip address add "$zones_address/24" dev "$bridge"
    sqlite3 "$folder/zones.sqlite3" </usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql
    # No caches: a test must see what is, not what was. security-poll-suffix: it would ask the world for news.
    cat >"$folder/pdns.conf" <<CONF
launch=gsqlite3
gsqlite3-database=$folder/zones.sqlite3
gsqlite3-pragma-synchronous=0
local-address=$host_address:$test_dns_port,$zones_address:53
socket-dir=$folder
api=yes
api-key=$zones_key
webserver-address=$host_address
webserver-port=$zones_api_port
webserver-allow-from=10.88.0.0/16
webserver-loglevel=none
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
zone-metadata-cache-ttl=0
receiver-threads=1
distributor-threads=1
retrieval-threads=1
default-soa-content=ns.$zones_parent hostmaster.@ 0 60 60 600 1
default-ttl=60
security-poll-suffix=
disable-syslog=yes
log-timestamp=yes
loglevel=4
CONF
    start zones pdns_server --config-dir="$folder" --guardian=no --daemon=no
    wait_for "PowerDNS" 20 zones_answer || return 1
    # All else does not exist.
    make_zone .
    make_zone "$zones_parent"
    set_records "$zones_parent" "ns.$zones_parent" A 60 "$zones_address"
}
zones_answer() { zones_call GET "" >/dev/null; }

# zones_call METHOD PATH [BODY]
zones_call() {
    curl --silent --show-error --fail-with-body --noproxy '*' --max-time 10 --request "$1" \
        --header "X-API-Key: $zones_key" --header 'Content-Type: application/json' ${3:+--data "$3"} "$zones_url$2"
}

# The name with its final dot.
rooted() { echo "${1%.}."; }

# make_zone NAME: empty, in place of one that was there.
make_zone() {
    local zone
    zone=$(rooted "$1")
    zones_call DELETE "/$(zone_id "$zone")" >/dev/null 2>&1 || true
    zones_call POST "" "{\"name\": \"$zone\", \"kind\": \"Native\", \"nameservers\": [\"ns.$zones_parent.\"]}" >/dev/null
}
# As PowerDNS names it in a URL.
zone_id() { if [[ $1 == . ]]; then echo '=2E'; else echo "$1"; fi; }

# set_records ZONE NAME TYPE TTL CONTENT...: replaces what there was of that name and type; without a content, removes.
set_records() {
    local zone name=$2 type=$3 ttl=$4
    zone=$(rooted "$1")
    shift 4
    zones_call PATCH "/$(zone_id "$zone")" "$(
        jq --null-input --arg name "$(rooted "$name")" --arg type "$type" --argjson ttl "$ttl" '
            {rrsets: [{name: $name, type: $type, ttl: $ttl,
                       changetype: (if $ARGS.positional == [] then "DELETE" else "REPLACE" end),
                       records: ($ARGS.positional | map({content: ., disabled: false}))}]}' --args "$@"
    )" >/dev/null
}

# external-dns, over all zones of reserved names but the root's.
start_external_dns() {
    local manifest=$built/bin/dnsendpoint.yaml
    client external-dns /O=system:masters/CN=external-dns
    admin apply -f "$manifest" >/dev/null
    # kubectl fails at once on a definition that has no conditions yet, so it is asked again.
    wait_for "DNSEndpoint to be served" 30 \
        admin wait --for=condition=Established crd/dnsendpoints.externaldns.k8s.io --timeout=5s || return 1
    start external-dns external-dns --kubeconfig "$run/external-dns.kubeconfig" --source crd \
        --provider pdns --pdns-server "http://$host_address:$zones_api_port" --pdns-api-key "$zones_key" \
        --managed-record-types MX --managed-record-types A --managed-record-types AAAA --policy sync \
        --registry txt --txt-owner-id "$external_dns_owner" --txt-prefix "$external_dns_prefix" \
        --domain-filter test --domain-filter example --domain-filter example.org --domain-filter example.net \
        --domain-filter example.com --interval 2s --metrics-address "127.0.0.1:$external_dns_port" --log-level debug
}

start_balancers() {
    client balancers /O=system:masters/CN=balancers
    start balancers "$cluster_folder/lib/balancers"
}
