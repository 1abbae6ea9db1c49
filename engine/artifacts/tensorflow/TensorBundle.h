// TensorFlow's TensorBundle: the files `variables.data-00000-of-00001` (the tensors' bytes) and `variables.index` (a
// LevelDB table: key → type, sizes, place and checksum).
//
// Source: tensorflow/core/util/tensor_bundle/tensor_bundle.h and core/protobuf/tensor_bundle.proto of TensorFlow 2.21.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "common/File.h"
#include "engine/artifacts/TensorView.h"

namespace lockstep {

/// Writes a bundle; tensors are streamed, none is copied whole. Call `finish` when all are added: the index is written
/// last. Throws SystemError.
class TensorBundleWriter {
 public:
  /// `prefix`: the files' common name, `DIR/variables/variables`; the directory exists.
  explicit TensorBundleWriter(std::filesystem::path prefix);
  TensorBundleWriter(const TensorBundleWriter&) = delete;
  TensorBundleWriter& operator=(const TensorBundleWriter&) = delete;
  ~TensorBundleWriter();

  void add(const std::string& key, const TensorView& tensor);
  void add(const std::string& key, const std::string& text);  ///< a scalar of type string
  void finish();

 private:
  struct Entries;
  void write(std::string_view bytes);

  std::filesystem::path prefix_;
  OutputFile data_;
  std::int64_t written_ = 0;
  std::unique_ptr<Entries> entries_;
};

/// A tensor read from a bundle.
struct BundleTensor {
  ElementType type = ElementType::kFloat;
  std::vector<std::int64_t> sizes;
  std::string bytes;  ///< row-major, little-endian
};

/// Reads a bundle's index when it is made, and tensors when they are asked for, each against its checksum. Throws
/// InputError, naming the file, for what is damaged, truncated or missing.
class TensorBundleReader {
 public:
  explicit TensorBundleReader(std::filesystem::path prefix);
  TensorBundleReader(TensorBundleReader&&) noexcept;
  ~TensorBundleReader();

  std::vector<std::string> keys() const;
  BundleTensor tensor(const std::string& key) const;
  std::string text(const std::string& key) const;

 private:
  struct Entries;

  std::filesystem::path data_path_;
  std::unique_ptr<Entries> entries_;
};

}  // namespace lockstep
