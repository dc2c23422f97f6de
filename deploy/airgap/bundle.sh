#!/bin/sh
# Makes one folder with all that a machine without internet needs, on a machine with internet and the same kind of
# processor and Python:
#     deploy/airgap/bundle.sh [--cuda] [--models FOLDER] [--python PYTHON] TARGET
# Every package is checked against the hash of the lock when it is fetched, and again when it is installed.
# Without --cuda, torch for processors alone is taken: its wheel is found where pip looks (PIP_FIND_LINKS, or the setting
# of pip for further indexes). --models: a model store (`radnode models` says where), copied as files.
set -eu
cd "$(dirname "$0")/../.."

lock=deploy/requirements-cpu.lock models='' python=python3.11 target=''
while [ $# -gt 0 ]; do
    case $1 in
        --cuda) lock=deploy/requirements.lock ;;
        --models) models=$2; shift ;;
        --python) python=$2; shift ;;
        -*) echo "unknown: $1" >&2; exit 2 ;;
        *) target=$1 ;;
    esac
    shift
done
[ -n "$target" ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ ! -e "$target" ] || { echo "$target is there already; name another folder or remove it" >&2; exit 1; }

making=$target.part
rm -rf "$making"
mkdir -p "$making/wheels"
trap 'rm -rf "$making"' EXIT

"$python" -m pip download --quiet --require-hashes --only-binary :all: --dest "$making/wheels" -r "$lock"
"$python" -m venv "$making/build"
"$making/build/bin/python" -m pip install --quiet --require-hashes -r deploy/build.lock
"$making/build/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$making" .
rm -rf "$making/build"

cp "$lock" "$making/requirements.lock"
cp deploy/airgap/install.sh "$making/"
cp -R deploy/systemd config/defaults docs "$making/"
[ -z "$models" ] || cp -R "$models" "$making/models"
(cd "$making" && find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS)
mv "$making" "$target"
trap - EXIT
echo "$target: $(find "$target/wheels" -name '*.whl' | wc -l) packages, $(du -sh "$target" | cut -f1)"
echo "compare on the other side, by another way than the folder took: $(sha256sum "$target/SHA256SUMS" | cut -d' ' -f1)"
