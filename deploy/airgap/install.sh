#!/bin/sh
# Installs radnode from this folder, without any network:
#     ./install.sh [--python PYTHON] [--models FOLDER] ENVIRONMENT
# ENVIRONMENT, e.g. /opt/radnode, must not be there. --models: where the models of the bundle go (the node's `models`).
set -eu
here=$(cd "$(dirname "$0")" && pwd)

python=python3.11 models='' environment=''
while [ $# -gt 0 ]; do
    case $1 in
        --python) python=$2; shift ;;
        --models) models=$2; shift ;;
        -*) echo "unknown: $1" >&2; exit 2 ;;
        *) environment=$1 ;;
    esac
    shift
done
[ -n "$environment" ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ ! -e "$environment" ] || { echo "$environment is there already: docs/upgrade.md says how to go to a new version" >&2; exit 1; }

echo "SHA256SUMS: $(sha256sum "$here/SHA256SUMS" | cut -d' ' -f1)"
(cd "$here" && sha256sum --check --quiet --strict SHA256SUMS) || { echo "the bundle is damaged: copy it again" >&2; exit 1; }

"$python" -m venv "$environment"
export PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1
PIP_FIND_LINKS='' "$environment/bin/python" -m pip install --quiet --no-index --find-links "$here/wheels" \
    --only-binary :all: --require-hashes -r "$here/requirements.lock"
"$environment/bin/python" -m pip install --quiet --no-index --no-deps "$here"/radnode-*.whl
"$environment/bin/python" -m pip check
if [ -n "$models" ] && [ -d "$here/models" ]; then
    [ ! -e "$models" ] || { echo "$models is there already; the models were not copied" >&2; exit 1; }
    cp -R "$here/models" "$models"
fi
"$environment/bin/radnode" --help >/dev/null
echo "$environment/bin/radnode is installed; next: write a configuration and \`radnode check\` it"
