#!/usr/bin/env bash
# Installs the real peers that radnode is tested against: a PACS, DICOM tools, a database, an SR validator.
# Debian 12 or newer. Installs only what is missing and starts no service; run it as often as you like.
set -euo pipefail

packages=(
    orthanc orthanc-dicomweb    # the PACS that forwards studies and receives results
    dcmtk                       # storescu, dcmsend, dcmdump, dsrdump: independent senders and readers
    postgresql                  # the second database; tests start their own cluster
    libpixelmed-java pixelmed-apps openjdk-17-jre-headless  # the SR template validator
    strace iproute2             # system-call faults; a private network for tests
)

missing=()
for package in "${packages[@]}"; do
    if [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" != "ii " ]; then
        missing+=("$package")
    fi
done
if [ "${#missing[@]}" -eq 0 ]; then
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
echo "peers: installed"
