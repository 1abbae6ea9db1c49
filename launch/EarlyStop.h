// Signals while a launcher does not wait for them yet.
#pragma once

#include <filesystem>
#include <mutex>
#include <thread>

#include "common/File.h"

namespace lockstep {

/// From its construction to `over`, a signal that would end this process does so at once, whatever this process waits
/// for (a file server, a name service, a driver): with 128 plus its number, and the reason on standard error and in
/// output_dir/failure. A Supervisor must exist already: it blocks the signals, which makes this right also for PID 1.
class EarlyStop {
 public:
  EarlyStop();
  EarlyStop(const EarlyStop&) = delete;
  EarlyStop& operator=(const EarlyStop&) = delete;
  ~EarlyStop() { over(); }

  /// Where `failure` goes, once that is known, and whether an earlier job's is gone from there.
  void set_output_dir(const std::filesystem::path& output_dir, bool cleared);
  /// From now on signals are the supervisor's.
  void over();

 private:
  void wait();

  FileDescriptor signals_;
  FileDescriptor over_;  ///< readable: it is over
  std::mutex mutex_;
  std::filesystem::path output_dir_;
  bool cleared_ = false;
  std::thread thread_;
};

}  // namespace lockstep
