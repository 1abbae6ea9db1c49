#include "engine/files/ScratchBytes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "common/Error.h"
#include "common/Prefetch.h"
#include "common/RegularFile.h"

namespace lockstep {

namespace {

constexpr std::size_t kPieceBytes = 1 << 20;

// Calls `visit(block, at, from, count)` with the blocks in which `size` bytes from `offset` on lie: `count` of them,
// the first of which is the one at `from`, begin at `at` of the block.
template <typename Visitor>
void in_blocks(std::uint64_t offset, std::uint64_t size, const Visitor& visit) {
  for (std::uint64_t from = 0; from < size;) {
    const std::size_t at = (offset + from) % kPieceBytes;
    const std::size_t count = std::min<std::uint64_t>(kPieceBytes - at, size - from);
    visit((offset + from) / kPieceBytes, at, from, count);
    from += count;
  }
}

[[noreturn]] void refuse(const std::string& directory, const std::string& what, std::uint64_t size) {
  throw InputError(with_errno("there is no room in " + directory + " for the content of " + what + ", of which " +
                              std::to_string(size >> 20) + " MiB are unpacked") +
                   ": set TMPDIR to a directory with room for all of it, once for each rank of this host");
}

FileDescriptor file_without_name(const std::string& directory, const std::string& what, std::uint64_t size) {
  std::string path = directory + "/lockstep-XXXXXX";
  FileDescriptor file(::mkostemp(path.data(), O_CLOEXEC));
  if (!file) refuse(directory, what, size);
  ::unlink(path.c_str());
  return file;
}

std::string directory_for_scratch() {
  std::error_code error;
  const std::filesystem::path directory = std::filesystem::temp_directory_path(error);
  if (error) throw InputError("there is no directory for temporary files: set TMPDIR to one that is there");
  return directory.string();
}

}  // namespace

void ScratchBytes::append(std::span<const std::byte> bytes, const std::string& what) {
  if (!file_ && bytes.size() <= most_in_memory_ - size_) {
    in_blocks(size_, bytes.size(), [&](std::size_t block, std::size_t at, std::size_t from, std::size_t count) {
      if (block == memory_.size()) memory_.push_back(std::make_unique_for_overwrite<std::byte[]>(kPieceBytes));
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), count, memory_[block].get() + at);
    });
    size_ += bytes.size();
    return;
  }
  if (!file_) {
    file_ = file_without_name(directory_for_scratch(), what, size_);
    const std::uint64_t held = std::exchange(size_, 0);
    in_blocks(0, held, [&](std::size_t block, std::size_t, std::size_t, std::size_t count) {
      write({memory_[block].get(), count}, what);
    });
    memory_.clear();
  }
  write(bytes, what);
}

void ScratchBytes::write(std::span<const std::byte> bytes, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) refuse(directory_for_scratch(), what, size_);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    size_ += static_cast<std::uint64_t>(count);
  }
}

void ScratchBytes::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  if (offset > size_ || bytes.size() > size_ - offset) throw InternalError("scratch bytes are read that nobody wrote");
  if (!file_) {
    in_blocks(offset, bytes.size(), [&](std::size_t block, std::size_t at, std::size_t to, std::size_t count) {
      std::copy_n(memory_[block].get() + at, count, bytes.begin() + static_cast<std::ptrdiff_t>(to));
    });
  } else if (read_bytes_at(file_, offset, bytes) != bytes.size()) {
    throw SystemError(with_errno("cannot read a temporary file"));
  }
}

void ScratchBytes::expect(std::uint64_t offset, std::size_t size) const {
  if (file_ || offset >= size_) return;
  const std::size_t at = offset % kPieceBytes;
  prefetch(memory_[offset / kPieceBytes].get() + at, std::min(size, kPieceBytes - at));
}

}  // namespace lockstep
