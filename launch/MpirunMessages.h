// What mpirun itself says on standard error, told apart from what ranks say.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// OpenMPI puts its own messages between two lines of dashes. Most only repeat that a rank has failed, after the rank
/// has said why; two are worth keeping: which rank was ended by a signal, or has left without a word. Holds the start
/// of a message.
class MpirunMessages {
 public:
  /// Takes the next line; returns the lines to show to the user, if any.
  std::vector<std::string> take(const std::string& line);

  /// A rank that has ended and could not say why.
  struct LostRank {
    int rank = 0;
    std::string how;  ///< "was ended by signal 9 (Killed)"
  };
  /// When mpirun said so.
  const std::optional<LostRank>& lost_rank() const { return lost_rank_; }

 private:
  enum class State { kOutside, kAfterDashes, kInside };

  void read_message();

  State state_ = State::kOutside;
  std::string dashes_;
  std::string message_;  ///< so far
  std::optional<LostRank> lost_rank_;
};

}  // namespace lockstep
