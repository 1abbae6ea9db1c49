#include "launch/MpirunMessages.h"

#include <algorithm>
#include <array>
#include <regex>
#include <string_view>

namespace lockstep {

namespace {

bool is_dashes(const std::string& line) {
  constexpr std::size_t kShortest = 60;
  return line.size() >= kShortest && line.find_first_not_of('-') == std::string::npos;
}

// How the messages begin that say no more than that a rank has ended, in OpenMPI 4.1 and 5.
bool is_about_an_ended_rank(const std::string& line) {
  constexpr std::array<std::string_view, 9> beginnings = {
      "Primary job",
      "mpirun noticed that",
      "mpirun has exited due to",
      "mpirun detected that",
      "prterun noticed that",
      "prterun has exited due to",
      "prterun detected that",
      "MPI_ABORT was invoked on rank",
      "An MPI communication peer process has unexpectedly disconnected"};
  return std::ranges::any_of(beginnings, [&](std::string_view beginning) { return line.starts_with(beginning); });
}

}  // namespace

void MpirunMessages::read_message() {
  // "mpirun noticed that process rank 1 with PID 17722 on node vm exited on signal 9 (Killed)." OpenMPI 5 breaks the
  // line.
  static const std::regex killed("process rank ([0-9]+) .* exited on signal ([0-9]+) \\(([^)]*)\\)");
  if (std::smatch match; std::regex_search(message_, match, killed)) {
    lost_rank_ = {.rank = std::stoi(match[1]),
                  .how = "was ended by signal " + match[2].str() + " (" + match[3].str() + ")"};
  }
  // "mpirun has exited due to process rank 3 with PID 0 on node vm exiting improperly. There are …"
  static const std::regex left("due to process rank ([0-9]+) .* exiting improperly");
  if (std::smatch match; std::regex_search(message_, match, left)) {
    lost_rank_ = {.rank = std::stoi(match[1]), .how = "has ended without telling the others (no MPI_Finalize)"};
  }
}

std::vector<std::string> MpirunMessages::take(const std::string& line) {
  switch (state_) {
    case State::kOutside:
      if (line.ends_with(": Forwarding signal 10 to job")) return {};  // SIGUSR1: the ranks say that they stop
      if (!is_dashes(line)) return {line};
      state_ = State::kAfterDashes;
      dashes_ = line;
      return {};
    case State::kAfterDashes:
      if (is_about_an_ended_rank(line)) {
        state_ = State::kInside;
        message_ = line;
        return {};
      }
      if (is_dashes(line)) return {line};  // the end of a message that is shown, then the beginning of another
      state_ = State::kOutside;
      return {dashes_, line};
    case State::kInside:
      if (!is_dashes(line)) {
        message_ += " " + line;
        return {};
      }
      state_ = State::kOutside;
      read_message();
      return {};
  }
  return {line};
}

}  // namespace lockstep
