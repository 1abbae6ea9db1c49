#include "launch/JobDocument.h"

#include <sys/mman.h>
#include <unistd.h>

#include "common/Error.h"

namespace lockstep {

JobDocument::JobDocument(const JobConfig& config) : memory_(::memfd_create("lockstep-job", 0)) {
  if (!memory_) throw SystemError(with_errno("cannot make a memory file"));
  OutputFile file(own_path());
  file.write(write_job_config(config));
  file.close();
}

std::string JobDocument::own_path() const { return "/proc/self/fd/" + std::to_string(memory_.get()); }

std::string JobDocument::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(memory_.get());
}

}  // namespace lockstep
