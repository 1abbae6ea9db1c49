// Rows of hyperparameters that have a form of their own.
#pragma once

#include <string>

#include "job/HyperparameterRow.h"

namespace lockstep {

HyperparameterRow model_row();
HyperparameterRow embeddings_row();
HyperparameterRow seed_row();
HyperparameterRow monitor_row();
HyperparameterRow metrics_row();
HyperparameterRow time_row(std::string name, double Hyperparameters::*member, std::string help);
HyperparameterRow checkpoint_every_row();
HyperparameterRow parameter_groups_row();
HyperparameterRow columns_row();
HyperparameterRow content_type_row();
HyperparameterRow mixture_row();
HyperparameterRow fields_row();
HyperparameterRow jitter_row();
HyperparameterRow output_row();
HyperparameterRow served_name_row();
HyperparameterRow weight_names_row();
HyperparameterRow trace_steps_row();

}  // namespace lockstep
