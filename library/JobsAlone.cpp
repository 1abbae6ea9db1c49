#include "library/JobsAlone.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/Error.h"

namespace lockstep {

namespace {

struct Refused {
  std::string names;  ///< separated by spaces
  std::string instead;
};

const std::vector<Refused>& of_jobs() {
  static const std::vector<Refused> all = {
      {"ranks_per_host instance_groups hosts_timeout hosts_port secret_file pipe_timeout exit_code_when_stopped",
       "ranks are those of the program's own communicator"},
      {"eval_every patience monitor artifact_state", "call evaluate, and keep what is best"},
      {"predict", "call predict"},
      {"checkpoint_every", "call save"},
      {"resume", "call resume"},
      {"log_every", "each step returns its result"},
      {"data synthetic_samples", "give batches, or the channel train"}};
  return all;
}

const std::vector<Refused>& of_channels() {
  static const std::vector<Refused> all = {
      {"epochs batch_size shuffle loader_threads columns fields validation_share sharded mixture skip_bad_records "
       "data_index_dir image_crop image_flip image_padding image_jitter",
       "there is no channel train, and batches are the program's own"}};
  return all;
}

void refuse(const RawHyperparameters& given, const std::vector<Refused>& refused) {
  for (const Refused& group : refused) {
    const std::string names = " " + group.names + " ";
    for (const auto& [name, value] : given) {
      if (names.find(" " + name + " ") == std::string::npos) continue;
      throw InputError("hyperparameter " + name + " does nothing here: " + group.instead + "; leave it out");
    }
  }
}

}  // namespace

void refuse_those_of_jobs(const RawHyperparameters& given, bool channels) {
  refuse(given, of_jobs());
  if (!channels) refuse(given, of_channels());
}

}  // namespace lockstep
