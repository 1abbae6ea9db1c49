#include "engine/collectives/MpiSession.h"

#include <string>

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
  look();
}

MpiSession::MpiSession(MPI_Fint ranks) : own_(false) {
  int started = 0;
  int ended = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&ended);
  if (started == 0 || ended != 0) {
    throw InputError(std::string("the communicator is of an MPI that ") +
                     (ended != 0 ? "has ended" : "has not started") +
                     ": call MPI_Init before, and link the program with the MPI library that Lockstep was built with");
  }
  ranks_ = MPI_Comm_f2c(ranks);  // ends the process where MPI does not run
  if (ranks_ == MPI_COMM_NULL) {
    throw InputError(
        "the communicator is MPI_COMM_NULL, or none: give what MPI_Comm_c2f makes of one that has this rank");
  }
  look();
}

void MpiSession::look() {
  MPI_Comm host;
  MPI_Comm_split_type(ranks_, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
  MPI_Comm_size(host, &place_.ranks_on_host);
  MPI_Comm_rank(host, &place_.rank_on_host);
  MPI_Comm_rank(ranks_, &place_.first_rank_on_host);
  MPI_Bcast(&place_.first_rank_on_host, 1, MPI_INT, 0, host);
  MPI_Comm_free(&host);
  const int first = place_.rank_on_host == 0 ? 1 : 0;
  MPI_Allreduce(&first, &place_.hosts, 1, MPI_INT, MPI_SUM, ranks_);
}

MpiSession::~MpiSession() {
  if (own_) MPI_Finalize();
}

}  // namespace lockstep
