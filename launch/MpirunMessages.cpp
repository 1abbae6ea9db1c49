#include "launch/MpirunMessages.h"

#include <algorithm>
#include <array>
#include <regex>
#include <string_view>
#include <utility>

namespace lockstep {

namespace {

constexpr std::size_t kMostToTell = 400;

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

// Of whatever kind: for the reason that the job ends with.
void MpirunMessages::note(const std::string& line) {
  constexpr std::string_view kError = "lockstep: error: ";
  static const std::regex failure("error|fail|cannot|can't|unable|not found|denied|no space|limit|terminated|smashing",
                                  std::regex::icase);
  const std::string beginning = line.substr(0, kMostToTell);
  if (error_.empty() && line.starts_with(kError)) error_ = beginning.substr(kError.size());
  if (error_.empty() && line.find("error while loading shared libraries") != std::string::npos) error_ = beginning;
  if (failure_.empty() && std::regex_search(beginning, failure)) failure_ = beginning;
}

// In one line, without the blanks and empty lines that it is laid out with.
void MpirunMessages::add_to_first_message(const std::string& line) {
  const std::size_t begin = line.find_first_not_of(" \t");
  if (first_is_whole_ || begin == std::string::npos) return;
  first_message_ += (first_message_.empty() ? "" : " ") + line.substr(begin);
  if (first_message_.size() < kMostToTell) return;
  first_message_ = first_message_.substr(0, kMostToTell) + " …";
  first_is_whole_ = true;
}

std::string MpirunMessages::telling() const { return first_message_.empty() ? failure_ : first_message_; }

std::vector<std::string> MpirunMessages::take(const std::string& line) {
  if (is_dashes(line)) {
    switch (std::exchange(state_, state_ == State::kInside ? State::kOutside : State::kAfterDashes)) {
      case State::kAfterDashes:  // the end of a message that is shown, then the beginning of another
        return {line};
      case State::kInside:
        read_message();
        return {};
      case State::kShown:
        first_is_whole_ = true;
        break;
      case State::kOutside:
        break;
    }
    dashes_ = line;
    return {};
  }
  note(line);
  switch (state_) {
    case State::kOutside:
      if (line.ends_with(": Forwarding signal 10 to job")) return {};  // SIGUSR1: the ranks say that they stop
      return {line};
    case State::kAfterDashes:
      if (is_about_an_ended_rank(line)) {
        state_ = State::kInside;
        message_ = line;
        return {};
      }
      state_ = State::kShown;
      add_to_first_message(line);
      return {dashes_, line};
    case State::kInside:
      message_ += " " + line;
      return {};
    case State::kShown:
      add_to_first_message(line);
      return {line};
  }
  return {line};
}

}  // namespace lockstep
