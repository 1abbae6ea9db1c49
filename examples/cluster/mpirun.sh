#!/usr/bin/env bash
# mpirun.sh HOSTFILE [FLAG...]: trains job.json with one rank for each slot of an OpenMPI hostfile (`node1 slots=8`, a line each).
# Flags go to `lockstep train`.
#
# All hosts see Lockstep, job.json and what it names under the same paths; mpirun reaches them by ssh. To stop in good order, with
# a checkpoint: kill -USR1 the mpirun, not -TERM.
set -euo pipefail
hosts=${1:?the hostfile}
job=$(cd "$(dirname "$0")" && pwd)/job.json
shift
# --bind-to none: a rank's threads are many, and mpirun would put them all on one core.
exec mpirun --hostfile "$hosts" --bind-to none lockstep train "$job" "$@"
