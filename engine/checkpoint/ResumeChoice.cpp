#include "engine/checkpoint/ResumeChoice.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/checkpoint/CheckpointState.h"
#include "engine/collectives/Agreement.h"
#include "engine/collectives/FirstWord.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

// Why the ranks cannot all use the checkpoint, by what they have listed; "" when they may.
std::string objection(const std::vector<Listing>& listings, std::int64_t step) {
  const ListedCheckpoint* first = nullptr;
  for (std::size_t rank = 0; rank < listings.size(); ++rank) {
    const auto found = listings[rank].find(step);
    if (found == listings[rank].end()) return "rank " + std::to_string(rank) + " does not find it";
    if (!found->second.problem.empty()) return found->second.problem;
    if (!first) first = &found->second;
    if (found->second.digest != first->digest) {
      return "rank " + std::to_string(rank) + " finds another one under this name than rank 0";
    }
  }
  return "";
}

// Says what is different about the newest of other jobs' checkpoints that this rank can read.
void refuse_other_jobs(const CheckpointDirectory& directory, const Listing& listing) {
  for (auto entry = listing.rbegin(); entry != listing.rend(); ++entry) {
    if (!entry->second.problem.empty()) continue;
    const std::filesystem::path path = directory.path_of(entry->first);
    CheckpointState state;
    try {
      state = read_state(read_file(path / kStateFile, kMaxStateFile), path / kStateFile);
    } catch (const InputError&) {
      continue;  // its manifest says whose it is, but not what it is
    }
    throw InputError("the checkpoint " + path.string() +
                     " was written by another job: " + difference(state.job, directory.job()) +
                     ". Give what it had to go on from there, or another checkpoint_dir to start anew");
  }
}

}  // namespace

std::vector<Listing> list_on_all_ranks(Communicator& communicator, const CheckpointDirectory& directory) {
  std::vector<ListedCheckpoint> mine;
  require_all_ok(communicator, [&] { mine = directory.list(); });
  json list = json::array();
  for (const ListedCheckpoint& one : mine) list.push_back({one.step, one.job, one.digest, one.problem});
  std::vector<Listing> all;
  for (const std::string& text : communicator.all_gather(list.dump(-1, ' ', false, json::error_handler_t::replace))) {
    Listing& listing = all.emplace_back();
    for (const json& entry : parse_json(text, "a rank's list of checkpoints")) {
      listing[entry[0]] = {.step = entry[0], .job = entry[1], .digest = entry[2], .problem = entry[3]};
    }
  }
  return all;
}

std::string problem_with(std::int64_t step, const CheckpointCheck& check) {
  try {
    check(step);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

ResumeChoice choose_checkpoint(Communicator& communicator, const CheckpointDirectory& directory,
                               const CheckpointCheck& check) {
  const std::vector<Listing> listings = list_on_all_ranks(communicator, directory);
  std::set<std::int64_t, std::greater<>> steps;
  bool own = false;
  bool others = false;
  for (const Listing& listing : listings) {
    for (const auto& [step, checkpoint] : listing) {
      steps.insert(step);
      if (checkpoint.job.empty()) continue;
      (checkpoint.job == directory.job_digest() ? own : others) = true;
    }
  }
  if (others && !own) {
    require_all_ok(communicator,
                   [&] { refuse_other_jobs(directory, listings[static_cast<std::size_t>(communicator.rank())]); });
  }
  ResumeChoice choice;
  for (const std::int64_t step : steps) {
    std::string reason = objection(listings, step);
    if (reason.empty() && listings[0].at(step).job != directory.job_digest()) reason = "it is another job's";
    if (reason.empty()) {
      const auto damaged = first_word(communicator.all_gather(problem_with(step, check)));
      if (!damaged) {
        choice.step = step;
        return choice;
      }
      reason = damaged->text;
    }
    choice.passed_over.push_back(checkpoint_name(step) + ": " + reason);
  }
  return choice;
}

}  // namespace lockstep
