#!/usr/bin/env bash
# Measures on the card of this machine. Unpacks Node, Dawn and the Vulkan loader into a temporary folder, then starts the
# bundled program with the same arguments. Needs an NVIDIA driver and python3; PyTorch with CUDA for the comparison.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/ashlar-gpu.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
for file in node dawn.node libvulkan.so.1; do
  python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], "wb"))' \
    "$here/$file.xz" "$scratch/$file"
done
chmod +x "$scratch/node"
# Some machines keep the driver's description where the loader does not look.
description=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
if [ -z "${VK_DRIVER_FILES:-}" ] && [ -f "$description" ]; then export VK_DRIVER_FILES=$description; fi
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$scratch" DAWN_NODE="$scratch/dawn.node" TMPDIR="$scratch"
"$scratch/node" "$here/program/main.mjs" "$@"
