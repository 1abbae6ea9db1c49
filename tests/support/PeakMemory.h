// How much memory something takes at most.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>

namespace lockstep {

/// The most bytes of memory that `run` fills at any time, beyond what there was before. It runs in a child process, so
/// that nothing before it counts; call it before the process has started threads. Throws when `run` throws.
inline std::uint64_t peak_memory(const std::function<void()>& run) {
  const auto peak = [] {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
    }
    throw std::runtime_error("/proc/self/status has no VmHWM");
  };
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("pipe failed");
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      const std::uint64_t before = peak();
      run();
      const std::uint64_t grown = peak() - before;
      ::_exit(::write(ends[1], &grown, sizeof grown) == sizeof grown ? 0 : 1);
    } catch (...) {
      ::_exit(1);
    }
  }
  ::close(ends[1]);
  std::uint64_t grown = 0;
  const bool told = ::read(ends[0], &grown, sizeof grown) == sizeof grown;
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  if (!told) throw std::runtime_error("what was to be measured has failed");
  return grown;
}

}  // namespace lockstep
