// MPI, from its start to its end.
#pragma once

#include <mpi.h>

#include "engine/collectives/RankPlace.h"

namespace lockstep {

/// Starts MPI on construction and ends it on destruction; one per process. MPI's own end waits for all ranks:
/// a rank that leaves alone must end the others with MpiCommunicator::abort instead. In a program that has started MPI
/// itself, and ends it, a session only knows the program's ranks.
class MpiSession {
 public:
  /// Throws PeerError when MPI offers too little thread support. MPI starts when all ranks are there, and waits for
  /// them without a deadline: an Alarm gives one.
  MpiSession();
  /// Of a program that uses MPI itself: `ranks`, as MPI_Comm_c2f says it, stays the program's, and must outlive this.
  /// Throws InputError when MPI does not run. A collective of `ranks`.
  explicit MpiSession(MPI_Fint ranks);
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  ~MpiSession();

  MPI_Comm ranks() const { return ranks_; }
  const RankPlace& place() const { return place_; }

 private:
  void look();

  bool own_ = true;  ///< MPI was started here
  MPI_Comm ranks_ = MPI_COMM_WORLD;
  RankPlace place_;
};

}  // namespace lockstep
