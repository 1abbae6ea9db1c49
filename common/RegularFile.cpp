#include "common/RegularFile.h"

#include <fcntl.h>
#include <sys/stat.h>

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

}  // namespace lockstep
