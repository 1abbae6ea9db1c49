#include "common/RegularFile.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/Error.h"

namespace lockstep {

namespace {

std::string kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe (FIFO)";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

FileDescriptor open_regular_file(const std::filesystem::path& path) {
  const auto refuse = [&](mode_t mode) {
    return InputError(path.string() + " is not a regular file: it is " + kind_of(mode));
  };
  struct stat info {};
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file) {
    const InputError error(with_errno("cannot open " + path.string()));
    if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) throw refuse(info.st_mode);
    throw error;
  }
  if (::fstat(file.get(), &info) != 0) throw InputError(with_errno("cannot stat " + path.string()));
  if (!S_ISREG(info.st_mode)) throw refuse(info.st_mode);
  return file;
}

std::optional<std::size_t> read_bytes_at(const FileDescriptor& file, std::uint64_t offset, std::span<std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        ::pread(file.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

}  // namespace lockstep
