#include "engine/session/Resume.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/checkpoint/Checkpoint.h"
#include "engine/checkpoint/CheckpointSharing.h"
#include "engine/checkpoint/ResumeChoice.h"
#include "engine/collectives/Agreement.h"

namespace lockstep {

namespace {

/// Of the checkpoints that the ranks try, newest first, the last one that this rank has found good.
struct Found {
  std::vector<ListedFile> files{};
  std::optional<SavedCheckpoint> checkpoint{};

  // Whether it is what files of this manifest hold: their checksums are equal.
  bool is(std::int64_t step, const std::vector<ListedFile>& others) const {
    const auto key = [](const ListedFile& file) { return std::tie(file.name, file.bytes, file.crc32c); };
    return checkpoint && checkpoint->state.step == step && std::ranges::equal(files, others, {}, key, key);
  }
};

// Throws InputError when the files are not as they were written, or the job cannot go on from what they hold.
SavedCheckpoint open_checked(const CheckpointDirectory& checkpoints, std::int64_t step,
                             const std::vector<ListedFile>& files, Resumable& trainer) {
  const std::string path = checkpoints.path_of(step).string();
  SavedCheckpoint saved = open_checkpoint(path, files);
  try {
    if (saved.state.step != step) {
      throw InputError("it was written after step " + std::to_string(saved.state.step) + " and renamed since");
    }
    trainer.check(saved);
  } catch (const InputError& error) {
    throw InputError(path + ": " + error.what());
  }
  return saved;
}

void tell_brought(const BroughtCheckpoint& brought, EventSink& events) {
  events.note({.text = "checkpoint " + checkpoint_name(brought.step) + " was brought to " +
                       std::to_string(brought.hosts) + (brought.hosts == 1 ? " host" : " hosts") +
                       " that did not have it"});
}

// `here`: this rank has written it, and removes older ones beside it. Rank 0 does so in its own directory when it
// writes the next one.
void restore(const JobConfig& config, const CheckpointDirectory& checkpoints, const SavedCheckpoint& checkpoint,
             bool here, Resumable& trainer, const RankContext& context, EventSink& events) {
  const std::int64_t step = checkpoint.state.step;
  const std::string path = checkpoints.path_of(step).string();
  std::string not_removed;
  require_all_ok(context.host, [&] {
    try {
      trainer.restore(checkpoint);
    } catch (const InputError& error) {
      throw InputError(path + ": " + error.what());
    }
    if (!here) return;
    not_removed = join(checkpoints.keep_newest(config.hyperparameters.checkpoint_keep, step), "; ");
    if (!not_removed.empty()) not_removed = config.host + ": older checkpoints take up room: " + not_removed;
  });
  for (const std::string& text : context.host.all_gather(not_removed)) {
    if (!text.empty()) events.note({.text = text, .warning = true});
  }
  events.note({.text = "resumed from " + path + ": " + with_commas(step) + " steps are done"});
}

}  // namespace

std::optional<std::int64_t> resume(const JobConfig& config, const CheckpointDirectory& checkpoints, Resumable& trainer,
                                   const RankContext& context, EventSink& events) {
  const bool wanted = config.hyperparameters.resume == Resume::kAuto;
  Found found;
  const auto check = [&](std::int64_t step) {
    if (!wanted) return checkpoints.verify(step);
    std::vector<ListedFile> files = checkpoints.files(step);
    if (found.is(step, files)) return;  // it has been brought to other hosts
    found = {};
    found.checkpoint = open_checked(checkpoints, step, files, trainer);
    found.files = std::move(files);
  };
  std::optional<BroughtCheckpoint> brought;
  if (wanted) brought = bring_checkpoint(context.host, checkpoints, check, context.host_number);
  const ResumeChoice choice = choose_checkpoint(context.host, checkpoints, check);
  if (brought) tell_brought(*brought, events);
  if (!wanted) {
    if (!choice.step) return std::nullopt;
    events.note({.text = "starting anew (resume=never); this job's checkpoints in " + checkpoints.path().string() +
                         " give way to the first new one"});
    return std::nullopt;
  }
  for (const std::string& passed : choice.passed_over) events.note({.text = "checkpoint passed over: " + passed});
  if (choice.step) restore(config, checkpoints, *found.checkpoint, brought && brought->here, trainer, context, events);
  return choice.step;
}

}  // namespace lockstep
