#include "engine/files/RandomAccessFile.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "common/Error.h"
#include "common/RegularFile.h"
#include "engine/files/InputFile.h"

namespace lockstep {

RandomAccessFile::RandomAccessFile(const std::filesystem::path& path)
    : name_(path.string()), file_(open_regular_file(path)) {
  struct stat found {};
  if (::fstat(file_.get(), &found) != 0) throw InputError(with_errno("cannot read " + name_));
  size_ = static_cast<std::uint64_t>(found.st_size);
  if (!is_packed(path)) return;
  file_ = FileDescriptor();
  unpacked_ = read_all(*open_input_file(path));
  size_ = unpacked_.size();
}

void RandomAccessFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  const std::uint64_t there = offset > size_ ? 0 : size_ - offset;
  std::size_t count = std::min<std::uint64_t>(there, bytes.size());
  if (!file_) {
    std::copy_n(reinterpret_cast<const std::byte*>(unpacked_.data()) + offset, count, bytes.begin());
  } else {
    const auto read = read_bytes_at(file_, offset, bytes.first(count));
    if (!read) throw InputError(with_errno("cannot read " + name_));
    count = *read;
  }
  if (count < bytes.size()) {
    throw InputError(name_ + " ends at byte " + std::to_string(offset + count) + "; expected " +
                     std::to_string(bytes.size()) + " bytes from " + std::to_string(offset) + " on");
  }
}

}  // namespace lockstep
