// Notices that a rank is gone.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/File.h"
#include "engine/collectives/Communicator.h"

namespace lockstep {

/// Ranks wait for each other in collectives, and MPI lets them wait for ever when one has been killed: only mpirun, and
/// srun on one host or with -K, end the others then. So rank 0 holds a TCP connection to each of the others, and what
/// ends without a word of leave is gone: all ranks learn it at once, or within kSilence when a host or the network is
/// lost. For ranks whose launcher does not watch them.
///
/// A thread of its own looks after the connections. It uses neither MPI nor the communicator.
class PeerWatch {
 public:
  /// Why the job ends.
  struct Loss {
    std::string reason;    ///< which rank is gone, or what a rank has said before it left
    int exit_code = 0;     ///< for this process
    bool to_tell = false;  ///< nobody has told the user yet, and this is the rank that does
  };
  /// Is called in the watch's thread, and must end this process.
  using Lost = std::function<void(const Loss& loss)>;

  /// What ranks say to each other once a second: rank 0 hears all others, and those hear rank 0. Called in the watch's
  /// thread.
  struct Beats {
    std::function<std::string()> own{};  ///< a line of at most 3,000 characters
    std::function<void(int rank, const std::string& line)> heard{};
    std::function<void()> turn{};                       ///< after each second, when all have been sent
    std::function<std::string(int rank)> last_place{};  ///< of a rank that is gone, for the reason; "": not known
  };

  static constexpr std::chrono::seconds kSilence{15};

  /// A collective, and the communicator is used by it only. `host` is this rank's, for messages. Takes `deadline` when
  /// some rank cannot reach rank 0, else no time.
  PeerWatch(Communicator& communicator, std::string host, Lost lost,
            std::chrono::milliseconds deadline = std::chrono::seconds(5));
  /// The same with beats.
  PeerWatch(Communicator& communicator, std::string host, Lost lost, Beats beats,
            std::chrono::milliseconds deadline = std::chrono::seconds(5));
  PeerWatch(const PeerWatch&) = delete;
  PeerWatch& operator=(const PeerWatch&) = delete;
  /// Takes leave. No rank may need another one after this.
  ~PeerWatch();

  /// The ranks that could not connect: nobody notices their end. The same on all ranks.
  const std::vector<int>& unwatched() const { return unwatched_; }
  /// For a rank that ends the others: they will give this as the reason, and this rank misses nobody any more. False,
  /// and nothing is said, if the watch has noticed a loss before: this process ends for that reason.
  bool tell(const std::string& reason, int exit_code) noexcept;

 private:
  struct Peer {
    int rank = 0;
    FileDescriptor socket;
    std::string said{};
    std::string unsent{};  ///< the rest of a beat
  };
  using Deadline = std::chrono::steady_clock::time_point;

  void admit(const FileDescriptor& listener, const std::string& token, std::size_t others, Deadline deadline);
  void watch();
  void beat();
  void hear_beats(Peer& peer);
  void heard_end(const Peer& peer, int error);
  std::string name_of(int rank) const { return "rank " + std::to_string(rank) + " on " + hosts_[rank]; }

  int rank_;
  Lost lost_;
  Beats beats_;
  std::vector<std::string> hosts_;  ///< by rank
  std::vector<Peer> peers_;         ///< rank 0: all others; of the others: rank 0
  std::vector<int> unwatched_;
  FileDescriptor stop_;  ///< an event: the thread is to end
  std::once_flag told_;
  std::thread thread_;
};

}  // namespace lockstep
