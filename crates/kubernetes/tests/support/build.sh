#!/usr/bin/env bash
# Builds the programs of a real Kubernetes from Debian's source package, where the cache lacks them:
# no registry ships them, and the package holds all that it needs. Prints the folder they are in.
# Takes 5 to 10 minutes once per machine; needs 3 GB while it runs, keeps 0.4 GB.
set -euo pipefail

VERSION=1.20.2
PROGRAMS=(kube-apiserver kube-controller-manager kube-scheduler kubelet)
GO=/usr/lib/go-1.19/bin
REFLECT2=/usr/share/gocode/src/github.com/modern-go/reflect2

cache=${XDG_CACHE_HOME:-$HOME/.cache}/jobwright
folder=$cache/kubernetes-$VERSION

whole() {
    local program
    for program in "${PROGRAMS[@]}"; do
        [[ -x $folder/$program ]] || return 1
    done
}

# install COMMAND PACKAGE…: Debian packages where the command is missing.
install() {
    if command -v "$1" >/dev/null; then return; fi
    local command=$1
    shift
    if [[ ${JOBWRIGHT_CHECK_INSTALL:-1} == 0 ]]; then
        echo "\`$command\` is missing and JOBWRIGHT_CHECK_INSTALL=0 forbids to install it:" \
            "run \`apt-get install $*\`" >&2
        return 1
    fi
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        echo "\`$command\` is missing: as root, run \`apt-get install $*\` or its like" >&2
        return 1
    fi
    echo "\`$command\` is missing: apt-get install $*" >&2
    apt-get -o DPkg::Lock::Timeout=600 update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -qq \
        --no-install-recommends "$@" >&2
}

# source_package: the upstream sources, from the archive that Debian's packages come from.
source_package() {
    sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >src.sources
    mkdir -p lists/partial
    local apt=(apt-get -o "Dir::Etc::sourcelist=$PWD/src.sources" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$PWD/lists" -o APT::Sandbox::User=root)
    "${apt[@]}" -qq update
    "${apt[@]}" -qq source --download-only kubernetes
    tar xzf kubernetes_*"$VERSION".orig.tar.gz
}

build() {
    source_package
    cd "kubernetes-$VERSION"
    mkdir -p .go/src/k8s.io
    ln -sfn ../../.. .go/src/k8s.io/kubernetes
    # The vendored 1.0.1 crashes the API server when it is built by Go 1.18 or newer.
    local vendored=vendor/github.com/modern-go/reflect2
    rm -f "$vendored"/*.go "$vendored"/*.s
    cp -L "$REFLECT2"/*.go "$REFLECT2"/*.s "$vendored/"
    rm -f "$vendored"/*_test.go
    env PATH="$GO:$PATH" GOPATH="$PWD/.go" HOME="$PWD/.home" CGO_ENABLED=0 GOFLAGS=-p=2 GOPROXY=off \
        GO111MODULE=off nice -n 19 make WHAT="${PROGRAMS[*]/#/cmd/}"
}

install etcd etcd-server
if whole; then
    echo "$folder"
    exit
fi
mkdir -p "$cache"
# Two that want it at once must not both build it.
exec 9>"$cache/kubernetes.lock"
flock 9
if ! whole; then
    install "$GO/go" golang-1.19-go golang-1.19-src
    install dpkg-source dpkg-dev
    install rsync rsync
    [[ -d $REFLECT2 ]] || install "$REFLECT2" golang-github-modern-go-reflect2-dev
    echo "kubernetes $VERSION is not in $folder: building it, once, in 5 to 10 minutes" >&2
    scratch=$(mktemp -d "$cache/building.XXXXXX")
    trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
    # In a condition the shell would go on after a failed command.
    set +e
    (set -e; cd "$scratch"; build) >"$cache/kubernetes.log" 2>&1
    built=$?
    set -e
    if [[ $built != 0 ]]; then
        tail -n 30 "$cache/kubernetes.log" >&2
        echo "kubernetes $VERSION was not built: $cache/kubernetes.log says why" >&2
        exit 1
    fi
    mkdir "$scratch/programs"
    for program in "${PROGRAMS[@]}"; do
        mv "$scratch/kubernetes-$VERSION/_output/local/go/bin/$program" "$scratch/programs/"
    done
    rm -rf "$folder"
    mv "$scratch/programs" "$folder"
fi
echo "$folder"
