// Many cases of hostile input, any of which may crash, hang or fill memory: each is tried in a child process.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "common/Error.h"

namespace lockstep {

struct CaseResults {
  int accepted = 0;
  int refused = 0;
  std::vector<std::string> failures;  ///< one line for each case that did neither
};

/// Runs `run(i)` for each i below `count`. A case is well when it returns, or throws an Error that is not an
/// InternalError: what else it throws would end a process of Lockstep with exit code 1. It must not take more than
/// `seconds` nor more than a gibibyte of memory beyond what was there.
///
/// A child runs many cases: what one leaves behind, the next may stumble over. To be called before the process has
/// started threads.
inline CaseResults run_hostile_cases(int count, const std::function<void(int)>& run,
                                     const std::function<std::string(int)>& describe, unsigned seconds = 20) {
  constexpr std::uint64_t kMostMemory = std::uint64_t{1} << 30;
  struct Shared {
    int next, accepted, refused;
    char why[500];
  };
  auto* shared =
      static_cast<Shared*>(::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  *shared = {};
  const auto resident = [] {  // the high-water mark of this process, which clear_refs sets back
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
    }
    return 0ULL;
  };
  CaseResults results;
  while (shared->next < count) {
    shared->why[0] = '\0';
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
#if !defined(__SANITIZE_ADDRESS__)
      rlimit limit{};
      ::getrlimit(RLIMIT_DATA, &limit);
      std::uint64_t data = 0;
      std::ifstream status("/proc/self/status");
      for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmData:")) data = std::stoull(line.substr(7)) * 1024;
      }
      limit.rlim_cur = data + kMostMemory;
      ::setrlimit(RLIMIT_DATA, &limit);
#endif
      const std::uint64_t before = resident();
      const auto fail = [&](const std::string& why) {
        std::snprintf(shared->why, sizeof shared->why, "%s", why.c_str());
        ::_exit(1);
      };
      for (; shared->next < count; ++shared->next) {
        ::alarm(seconds);
        try {
          run(shared->next);
          ++shared->accepted;
        } catch (const InternalError& error) {
          fail(std::string("an internal error: ") + error.what());
        } catch (const Error&) {
          ++shared->refused;
        } catch (const std::exception& error) {
          fail(std::string("an error of no kind: ") + error.what());
        }
        if (resident() > before + kMostMemory) fail("more than a gibibyte of memory");
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (shared->next == count && WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
    const std::string how = shared->why[0] != '\0' ? shared->why
                            : WIFSIGNALED(status)  ? "signal " + std::to_string(WTERMSIG(status))
                                                   : "exit code " + std::to_string(WEXITSTATUS(status));
    results.failures.push_back("case " + std::to_string(shared->next) + " (" + describe(shared->next) + "): " + how);
    ++shared->next;
    if (results.failures.size() == 20) break;
  }
  results.accepted = shared->accepted;
  results.refused = shared->refused;
  ::munmap(shared, sizeof(Shared));
  return results;
}

}  // namespace lockstep
