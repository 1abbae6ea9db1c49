#include "engine/files/PlainFile.h"

#include <sys/stat.h>

#include "common/Error.h"
#include "common/RegularFile.h"

namespace lockstep {

PlainFile::PlainFile(const std::filesystem::path& path) : name_(path.string()), file_(open_regular_file(path)) {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) throw InputError(with_errno("cannot read the size of " + name_));
  size_ = static_cast<std::uint64_t>(status.st_size);
}

std::size_t PlainFile::read_some_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  const auto count = read_bytes_at(file_, offset, bytes);
  if (!count) throw InputError(with_errno("cannot read " + name_));
  return *count;
}

void PlainFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  const std::size_t count = read_some_at(offset, bytes);
  if (count < bytes.size()) {
    throw InputError(name_ + " is truncated: it ends at byte " + std::to_string(offset + count) + ", before byte " +
                     std::to_string(offset + bytes.size()) + "; copy it again");
  }
}

}  // namespace lockstep
