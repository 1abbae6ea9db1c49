// What mpirun itself says on standard error, told apart from what ranks say.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// OpenMPI puts its own messages between two lines of dashes. Most only repeat that a rank has failed, after the rank
/// has said why; two are worth keeping: which rank was ended by a signal, or has left without a word. Others say why
/// mpirun itself fails. Holds the start of a message.
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

  /// The first error that a rank has shown, or what its loader says; "" when there is none.
  const std::string& error() const { return error_; }
  /// Of what else was shown, what tells best why the ranks have ended: mpirun's first message, else the first line that
  /// speaks of a failure; "" when nothing does.
  std::string telling() const;

 private:
  enum class State { kOutside, kAfterDashes, kInside, kShown };

  void read_message();
  void note(const std::string& line);
  void add_to_first_message(const std::string& line);

  State state_ = State::kOutside;
  std::string dashes_;
  std::string message_;  ///< so far
  std::optional<LostRank> lost_rank_;
  std::string error_;          ///< the first `lockstep: error:` of a rank, or what its loader says
  std::string failure_;        ///< the first line that speaks of one
  std::string first_message_;  ///< that is shown
  bool first_is_whole_ = false;
};

}  // namespace lockstep
