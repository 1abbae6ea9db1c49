#include "common/RankStatus.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/Error.h"

namespace lockstep {

RankStatusFile::RankStatusFile() : memory_(::memfd_create("lockstep-status", MFD_CLOEXEC)) {
  if (!memory_) throw SystemError(with_errno("cannot make a memory file"));
}

std::string RankStatusFile::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(memory_.get());
}

RankStatus RankStatusFile::read() const {
  char status = 0;
  return ::pread(memory_.get(), &status, 1, 0) == 1 ? static_cast<RankStatus>(status) : RankStatus::kStarting;
}

void report_status(const std::filesystem::path& file, RankStatus status) noexcept {
  const FileDescriptor descriptor(file.empty() ? -1 : ::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  const char byte = static_cast<char>(status);
  [[maybe_unused]] const ssize_t written = descriptor ? ::pwrite(descriptor.get(), &byte, 1, 0) : 0;
}

}  // namespace lockstep
