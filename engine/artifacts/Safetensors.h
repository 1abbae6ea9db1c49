// Tensors as safetensors files (the format: engine/files/SafetensorsFile.h).
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
