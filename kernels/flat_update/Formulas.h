// The formulas of flat_update.
#pragma once

#include "kernels/flat_update/formulas/Adagrad.h"
#include "kernels/flat_update/formulas/Adam.h"
#include "kernels/flat_update/formulas/Average.h"
#include "kernels/flat_update/formulas/Lion.h"
#include "kernels/flat_update/formulas/Muon.h"
#include "kernels/flat_update/formulas/RmsProp.h"

/// Does `Do(Name)` for each.
#define LOCKSTEP_FOR_EACH_FLAT_FORMULA(Do)                                                                     \
  Do(Adam) Do(Adagrad) Do(Average) Do(Lion) Do(MuonMomentum) Do(MuonStep) Do(PlainRmsProp) Do(CenteredRmsProp) \
      Do(MomentumRmsProp) Do(CenteredMomentumRmsProp)
