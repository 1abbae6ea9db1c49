// What tests that run under mpirun share.
#pragma once

#include "engine/collectives/MpiSession.h"

namespace lockstep {

/// The process's one MPI session, which the tests' main function owns.
const MpiSession& mpi_session();

}  // namespace lockstep
