// The content of a file, whatever it is packed in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/files/PlainFile.h"

namespace lockstep {

/// Content that is read once, from its start. Errors name the file.
class InputFile {
 public:
  virtual ~InputFile() = default;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// Fewer than `count` bytes only at the end of the content. Throws InputError for a file that cannot be read or is
  /// not intact.
  std::size_t read(void* out, std::size_t count);
  /// Bytes of content read so far.
  std::size_t offset() const { return offset_; }
  /// An upper bound of the bytes of content in the file.
  virtual std::uintmax_t most_content() const = 0;
  /// As messages name it: a path, or a path and the name of a member.
  const std::string& name() const { return name_; }

 protected:
  explicit InputFile(std::string name) : name_(std::move(name)) {}

 private:
  virtual std::size_t read_some(void* out, std::size_t count) = 0;

  std::string name_;
  std::size_t offset_ = 0;
};

/// Opens a plain, a gzip or a zstd file; its first bytes tell them apart. A gzip file is one member or several, a zstd
/// file one frame or several, each with a window of at most 128 MiB, and nothing else. Throws InputError for what
/// cannot be opened or is no regular file.
std::unique_ptr<InputFile> open_input_file(const std::filesystem::path& path);

/// The name of what a file holds: `x.npy` for x.npy.gz.
std::string content_name(const std::string& file_name);

/// Whether a file's first bytes say that its content is packed.
bool is_packed(const PlainFile& file);

/// All content that is left. Throws InputError when there is not so much memory.
std::vector<std::uint8_t> read_all(InputFile& file);

/// The next `count` bytes, which must be the last. Throws InputError when the content ends before or after them;
/// `expected` says what was to be there: "its header says 3 elements, which end at byte 28". Touches no more memory
/// than the file fills.
std::vector<std::uint8_t> read_rest(InputFile& file, std::size_t count, const std::string& expected);

}  // namespace lockstep
