// Tensors as safetensors files (the format: engine/files/SafetensorsFile.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "engine/files/SafetensorsFile.h"

namespace lockstep {

using NamedTensors = std::map<std::string, at::Tensor>;

ElementType element_type(const at::Tensor& tensor);

/// Throws SystemError. Tensors are written one by one: no second copy of all of them is made.
void write_safetensors(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata,
                       const std::filesystem::path& path);

/// What to read the tensor of that name into. Throws InputError for a type that no program's tensor has.
at::Tensor tensor_for(const SafetensorsFile& file, const std::string& name);
/// Of a dense tensor of the host, to be read into.
std::span<std::byte> bytes_of(const at::Tensor& tensor);

/// All tensors of a file. Throws InputError.
NamedTensors read_safetensors(const SafetensorsFile& file);
NamedTensors read_safetensors(const std::filesystem::path& path);

}  // namespace lockstep
