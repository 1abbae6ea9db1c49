#include "watch/ProcessState.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace lockstep {

const char* name_of(ProcessState state) {
  switch (state) {
    case ProcessState::kRunning:
      return "running";
    case ProcessState::kSleeping:
      return "sleeping";
    case ProcessState::kStopped:
      return "stopped";
    case ProcessState::kUninterruptible:
      return "D, in the kernel";
    case ProcessState::kGone:
      return "gone";
    case ProcessState::kSilent:
      return "silent";
  }
  return "unknown";
}

bool is_still(ProcessState state) {
  return state == ProcessState::kStopped || state == ProcessState::kGone || state == ProcessState::kSilent;
}

ProcessState process_state(const std::string& directory) {
  std::ifstream file(directory + "/stat");
  // A process that ends between the open and the read makes the read fail: getline sets a flag then, where a stream's
  // own iterators throw.
  std::string text;
  std::getline(file, text, '\0');
  // "812 (name) S …": a name may hold parentheses itself.
  const std::size_t end = text.rfind(") ");
  switch (end == std::string::npos || end + 2 >= text.size() ? 'X' : text[end + 2]) {
    case 'R':
      return ProcessState::kRunning;
    case 'T':
    case 't':
      return ProcessState::kStopped;
    case 'D':
      return ProcessState::kUninterruptible;
    case 'X':
    case 'Z':
      return ProcessState::kGone;
    default:
      return ProcessState::kSleeping;
  }
}

ProcessState process_state(pid_t pid) { return process_state("/proc/" + std::to_string(pid)); }

std::vector<pid_t> threads_of(pid_t pid) {
  std::vector<pid_t> threads;
  std::error_code error;
  for (std::filesystem::directory_iterator each("/proc/" + std::to_string(pid) + "/task", error), end;
       !error && each != end; each.increment(error)) {
    threads.push_back(std::atoi(each->path().filename().c_str()));
  }
  std::ranges::sort(threads);
  return threads;
}

}  // namespace lockstep
