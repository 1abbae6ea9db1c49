// The safetensors file format.
//
// Source: the format section of the safetensors README (huggingface/safetensors, version 0.8). 8 bytes: length of the
// header, little-endian; the header: JSON, name → {dtype, shape, data_offsets}, `__metadata__` → texts; then the
// tensors' bytes, row-major, little-endian, without gaps.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

namespace lockstep {

using NamedTensors = std::map<std::string, at::Tensor>;

/// Throws SystemError. Tensors are written one by one: no second copy of all of them is made.
void write_safetensors(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata,
                       const std::filesystem::path& path);

/// Throws InputError for a file that is truncated or whose header does not describe it.
NamedTensors read_safetensors(const std::filesystem::path& path);

}  // namespace lockstep
