#!/usr/bin/env bash
# Installs the real peers that radnode is tested against: a PACS, DICOM tools, a database, an SR validator, a viewer,
# a syslog server, an OpenID provider.
# Debian 12 or newer. Installs only what is missing and starts no service; run it as often as you like.
set -euo pipefail

packages=(
    orthanc orthanc-dicomweb    # the PACS that forwards studies and receives results
    dcmtk                       # storescu, dcmsend, dcmdump, dsrdump: independent senders and readers
    postgresql                  # the second database; tests start their own cluster
    libpixelmed-java pixelmed-apps openjdk-17-jdk-headless  # the SR template validator, many files in one machine
    plastimatch                 # the reader of radiotherapy structure sets
    poppler-utils               # an independent reader of PDF
    fonts-wqy-microhei          # Chinese, Japanese and Korean letters for the one-page report
    rsyslog rsyslog-openssl     # the syslog server that audit messages go to
    strace iproute2             # system-call faults; a private network for tests
    chromium                    # the browser that OHIF is looked at in
)
# npm brings a Node of its own for the tests, newer than Debian's.
command -v npm >/dev/null || packages+=(npm)

missing=()
for package in "${packages[@]}"; do
    if [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" != "ii " ]; then
        missing+=("$package")
    fi
done

# OHIF: its importer as a library, and the viewer itself, which lies built in its package. Its many dependencies are
# for those who build it, so the package is unpacked and not installed.
viewer=@ohif/app@3.13.2
viewer_sha512=5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3deea3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10
install_ohif() {
    cd "$(dirname "${BASH_SOURCE[0]}")/../../tests/ohif"
    if ! cmp -s package-lock.json node_modules/.installed; then
        npm ci --silent --ignore-scripts --no-audit --no-fund
        cp package-lock.json node_modules/.installed
    fi
    if [ "$(cat viewer/.installed 2>/dev/null)" != "$viewer" ]; then
        local packed
        packed=$(npm pack --silent "$viewer")
        echo "$viewer_sha512  $packed" | sha512sum --check --quiet
        rm -rf viewer && mkdir viewer
        tar -xzf "$packed" -C viewer --strip-components=1
        rm "$packed"
        echo "$viewer" >viewer/.installed
    fi
}

# Small programs for Node: an OpenID provider, to log in against; a FHIR server with an OAuth 2 server.
install_node() {
    cd "$(dirname "${BASH_SOURCE[0]}")/../../tests/$1"
    if ! cmp -s package-lock.json node_modules/.installed; then
        npm ci --silent --ignore-scripts --no-audit --no-fund
        cp package-lock.json node_modules/.installed
    fi
}

if [ "${#missing[@]}" -eq 0 ]; then
    (install_ohif)
    (install_node oidc)
    (install_node fhir)
    echo "peers: all installed"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi

# Debian starts services on installation; tests start their own on ports of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

echo "peers: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
(install_ohif)
(install_node oidc)
(install_node fhir)
echo "peers: installed"
