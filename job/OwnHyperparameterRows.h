// Rows of hyperparameters that have a form of their own.
#pragma once

#include "job/HyperparameterRow.h"

namespace lockstep {

HyperparameterRow model_row();
HyperparameterRow seed_row();
HyperparameterRow monitor_row();
HyperparameterRow metrics_row();
HyperparameterRow hosts_timeout_row();
HyperparameterRow checkpoint_every_row();
HyperparameterRow parameter_groups_row();
HyperparameterRow columns_row();

}  // namespace lockstep
