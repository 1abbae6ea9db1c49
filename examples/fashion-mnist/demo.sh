#!/usr/bin/env bash
# demo.sh DIRECTORY [FLAG...]: lays Debian's Fashion-MNIST out as the channels train and test under DIRECTORY, and trains on
# them. Flags go to `lockstep train`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=${1:?where to put the data and the results}
source=/usr/share/datasets/fashion-mnist
[[ -d $source ]] || { echo "demo.sh: install the Debian package dataset-fashion-mnist first" >&2; exit 2; }

mkdir -p "$directory"/data/{train,test}
cp "$source"/train-*.gz "$directory/data/train/"
cp "$source"/t10k-*.gz "$directory/data/test/"
cp "$here/job.json" "$directory/job.json"

shift
exec "$here/../../build/bin/lockstep" train "$directory/job.json" "$@"
