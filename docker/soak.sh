#!/usr/bin/env bash
# Installs what only `make soak` uses, beside `docker/install.sh full`: Chromium without a window, which opens reports (98 MB to
# fetch, 306 MB installed), and the published models that are exported. It is no part of install.sh, whose digest names the
# prefix: what is built and installed there stays where it is when this changes.
set -euo pipefail

debian=chromium-headless-shell
pypi=(torchvision==0.26.0 timm==1.0.22 transformers==4.57.3)  # of tests/judges/published.py; for torch 2.11.0

if [[ $(dpkg-query -W -f='${db:Status-Status}' "$debian" 2>/dev/null) != installed ]]; then
  echo "soak.sh: Debian package: $debian"
  as_root() { if [[ $EUID == 0 ]]; then "$@"; else sudo "$@"; fi; }
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$debian" >/dev/null
fi
prefix=$("$(dirname "$0")/install.sh" prefix)
stamp=$prefix/soak-$(sha256sum "$0" | cut -c1-12).installed
[[ ! -e $stamp ]] || exit 0
echo "soak.sh: PyPI packages into $prefix"
# What `make test` uses stays as it is.
"$prefix/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir -c <("$prefix/bin/pip" freeze) "${pypi[@]}"
touch "$stamp"
