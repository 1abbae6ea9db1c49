// MPI, from its start to its end.
#pragma once

namespace lockstep {

/// Starts MPI on construction and ends it on destruction; one per process. MPI's own end waits for all ranks:
/// a rank that leaves alone must end the others with MpiCommunicator::abort instead.
class MpiSession {
 public:
  /// Throws PeerError when MPI offers too little thread support. MPI starts when all ranks are there, and waits for
  /// them without a deadline: an Alarm gives one.
  MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  ~MpiSession();

  /// On which the ranks are.
  int hosts() const { return hosts_; }
  int ranks_on_this_host() const { return ranks_on_this_host_; }
  /// 0 … ranks_on_this_host-1: this rank's place among them, in the order of ranks.
  int rank_on_this_host() const { return rank_on_this_host_; }
  /// Tells hosts apart, whatever they are called.
  int first_rank_on_this_host() const { return first_rank_on_this_host_; }

 private:
  int hosts_ = 1;
  int ranks_on_this_host_ = 1;
  int rank_on_this_host_ = 0;
  int first_rank_on_this_host_ = 0;
};

}  // namespace lockstep
