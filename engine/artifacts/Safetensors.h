// Tensors as safetensors files (the format: engine/files/SafetensorsFile.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace lockstep {

using NamedTensors = std::map<std::string, at::Tensor>;

/// Throws SystemError. Tensors are written one by one: no second copy of all of them is made.
void write_safetensors(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata,
                       const std::filesystem::path& path);

struct SafetensorsContent {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;
  std::uint32_t crc32c = 0;  ///< of the file (common/Crc32c.h), of the bytes that these were made of
};

/// Reads each byte once. Throws InputError for a file that is truncated or whose header does not describe it.
SafetensorsContent read_safetensors_content(const std::filesystem::path& path);
/// Its tensors.
NamedTensors read_safetensors(const std::filesystem::path& path);

}  // namespace lockstep
