// A file of tensors of a checkpoint.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "engine/artifacts/Safetensors.h"
#include "engine/files/SafetensorsFile.h"

namespace lockstep {

/// Tensors in a safetensors file, which may be larger than what memory has left: they are read piece by piece, once
/// when this is made, to learn the file's checksum and which tensors are finite, and once more when they are read into
/// their places. Tensors of the host are shared out to the threads that PyTorch's operators have, each whole.
class SavedTensors {
 public:
  using Entry = SafetensorsFile::Entry;

  /// No tensors, of no file.
  SavedTensors() = default;
  /// Throws InputError for a file that cannot be read or is no safetensors file.
  explicit SavedTensors(const std::filesystem::path& path);

  const std::map<std::string, Entry>& entries() const;
  /// The texts that are stored with them.
  const std::map<std::string, std::string>& metadata() const;
  /// Of the whole file (common/Crc32c.h).
  std::uint32_t crc32c() const { return crc32c_; }
  bool is_finite(const std::string& name) const { return contents_.at(name).finite; }

  /// Throws InputError, naming the tensor, unless there is one of the same name, type and size for each of `like`.
  /// `owner` stands before the name in the message.
  void require(const NamedTensors& like, const std::string& owner = "") const;
  /// Reads tensors into those of the same names, types and sizes, on any device. Throws InputError as `require` does,
  /// before anything is changed, and when the file has other bytes now than when this was made.
  void read_into(const NamedTensors& into) const;
  /// One of them, in memory of its own. Throws InputError as read_into does, and for a type that no program has.
  at::Tensor read(const std::string& name) const;

 private:
  /// What the bytes of a tensor are known by.
  struct Content {
    std::uint32_t crc32c = 0;
    bool finite = true;
  };

  Content content_of(const Entry& entry) const;
  void read_bytes(const std::string& name, std::span<std::byte> bytes) const;

  std::shared_ptr<const SafetensorsFile> file_;  ///< open, so that nobody can put another in its place
  std::map<std::string, Content> contents_;      ///< of all entries
  std::uint32_t crc32c_ = 0;
};

}  // namespace lockstep
