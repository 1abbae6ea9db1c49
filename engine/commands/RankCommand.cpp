#include "engine/commands/RankCommand.h"

#include <sys/resource.h>

#include <ATen/Parallel.h>

#include <cstdint>
#include <exception>

#include "common/File.h"
#include "engine/commands/Failure.h"
#include "engine/commands/RankProcess.h"
#include "engine/commands/StopSignal.h"
#include "engine/device/HostMemory.h"
#include "engine/files/MappedFile.h"
#include "job/JobConfig.h"

namespace lockstep {

namespace {

constexpr std::uint64_t kMaxJobFile = 64 << 20;

void set_up_process(const JobConfig& config) {
  reuse_host_memory();
  // A channel may be thousands of files, and a rank may have a connection to every other.
  if (rlimit files{}; ::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  allow_mapped_files();
  at::set_num_threads(static_cast<int>(config.threads));
  at::set_num_interop_threads(1);
}

}  // namespace

int rank_command(const std::filesystem::path& job_file) {
  const JobConfig config = read_job_config(read_file(job_file, kMaxJobFile));
  const StopSignal stop(/*launched=*/!config.status_file.empty());
  try {
    set_up_process(config);
    return RankProcess(config, stop).run();
  } catch (const std::exception&) {
    const Failure failure = current_failure("the rank could not start");
    report_failure(config, "a rank on " + config.host + ": " + failure.text);
    return failure.code;
  }
}

}  // namespace lockstep
