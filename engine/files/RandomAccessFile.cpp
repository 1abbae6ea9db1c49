#include "engine/files/RandomAccessFile.h"

#include <algorithm>

#include "common/Error.h"
#include "engine/files/InputFile.h"

namespace lockstep {

RandomAccessFile::RandomAccessFile(const std::filesystem::path& path) : file_(path), packed_(is_packed(file_)) {
  if (packed_) unpacked_ = read_all(*open_input_file(path));
}

void RandomAccessFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  if (!packed_) return file_.read_at(offset, bytes);
  if (offset > unpacked_.size() || bytes.size() > unpacked_.size() - offset) {
    throw InputError(name() + " has " + std::to_string(unpacked_.size()) + " bytes of content; expected " +
                     std::to_string(bytes.size()) + " from byte " + std::to_string(offset) + " on");
  }
  std::copy_n(reinterpret_cast<const std::byte*>(unpacked_.data()) + offset, bytes.size(), bytes.begin());
}

}  // namespace lockstep
