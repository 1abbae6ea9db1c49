#include "engine/files/ScratchBytes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "common/Error.h"
#include "common/RegularFile.h"

namespace lockstep {

namespace {

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
    memory_.insert(memory_.end(), bytes.begin(), bytes.end());
    size_ += bytes.size();
    return;
  }
  if (!file_) {
    file_ = file_without_name(directory_for_scratch(), what, size_);
    size_ = 0;
    write(memory_, what);
    memory_ = {};
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
    std::copy_n(memory_.begin() + static_cast<std::ptrdiff_t>(offset), bytes.size(), bytes.begin());
  } else if (read_bytes_at(file_, offset, bytes) != bytes.size()) {
    throw SystemError(with_errno("cannot read a temporary file"));
  }
}

}  // namespace lockstep
