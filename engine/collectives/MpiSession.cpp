#include "engine/collectives/MpiSession.h"

#include <mpi.h>

#include "common/Error.h"

namespace lockstep {

MpiSession::MpiSession() {
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS) {
    throw PeerError("MPI cannot start");
  }
  if (provided < MPI_THREAD_SERIALIZED) {
    MPI_Finalize();
    throw PeerError("this MPI does not let several threads take turns (MPI_THREAD_SERIALIZED); use one that does");
  }
  MPI_Comm host;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
  MPI_Comm_size(host, &ranks_on_this_host_);
  MPI_Comm_rank(host, &rank_on_this_host_);
  MPI_Comm_rank(MPI_COMM_WORLD, &first_rank_on_this_host_);
  MPI_Bcast(&first_rank_on_this_host_, 1, MPI_INT, 0, host);
  MPI_Comm_free(&host);
  const int first = rank_on_this_host_ == 0 ? 1 : 0;
  MPI_Allreduce(&first, &hosts_, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
}

MpiSession::~MpiSession() { MPI_Finalize(); }

}  // namespace lockstep
