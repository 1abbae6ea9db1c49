#include "engine/session/TrainingSession.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Seconds.h"
#include "common/Text.h"
#include "engine/collectives/Agreement.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Passes.h"
#include "engine/session/Ending.h"
#include "engine/session/FitChecks.h"
#include "engine/session/FrozenParameters.h"
#include "engine/session/JobIdentity.h"
#include "engine/session/PrecisionChoice.h"
#include "engine/session/Predictions.h"
#include "engine/session/Resume.h"
#include "engine/session/RunFacts.h"
#include "engine/session/SetUpPhase.h"
#include "engine/session/ShownImages.h"
#include "engine/train/ParameterStorage.h"

namespace lockstep {

namespace {

/// Notes that wait for the run to have started.
class KeptNotes : public EventSink {
 public:
  void note(const Note& event) override { notes_.push_back(event); }
  void tell(EventSink& events) const {
    for (const Note& note : notes_) events.note(note);
  }

 private:
  std::vector<Note> notes_;
};

}  // namespace

TrainingSession::TrainingSession(JobConfig config, const RankContext& context, StopToken stop, EventSink& events,
                                 Registries registries)
    : config_(std::move(config)),
      context_(context),
      stop_(std::move(stop)),
      events_(context.leads() ? events : silent_),
      registries_(std::move(registries)) {}

template <typename Work>
auto TrainingSession::telling_failure(const Work& work) {
  try {
    return work();
  } catch (const c10::Error& error) {
    events_.run_failed({.text = error.what_without_backtrace()});
    throw;
  } catch (const std::exception& error) {
    events_.run_failed({.text = error.what()});
    throw;
  }
}

void TrainingSession::prepare() {
  telling_failure([this] { set_up(); });
}

SessionOutcome TrainingSession::run() {
  return telling_failure([this] { return train(); });
}

void TrainingSession::set_up() {
  job_ = load_job(config_, registries_, context_);
  std::optional<Program> rewritten;
  const Precision asked = options().precision;
  set_up_phase(context_.host, [&] { rewritten = checked_program(); });
  precision_ = choose_precision(config_, *job_, *rewritten, context_);
  if (!precision_ && options().precision != asked) {
    precision_ = Note{.text = "precision=" + to_string(options().precision) + ": the program is exported in float64"};
  }
  set_up_phase(context_.host, [&] { make_trainer(*rewritten); });
  rewritten.reset();  // its memory, which the trainer's has replaced
  require_agreement(context_.host, rank_identity(options(), *job_, trainer_->buckets()));
  std::int64_t resumed_step = 0;
  KeptNotes notes;
  if (checkpoints_) {
    if (context_.leads()) checkpoints_->remove_leftovers();
    try {
      resumed_step = resume(config_, *checkpoints_, *trainer_, context_, notes).value_or(0);
    } catch (const std::exception&) {
      notes.tell(events_);
      throw;
    }
  }
  announce(resumed_step);
  notes.tell(events_);
}

// As it will run, where the job can.
Program TrainingSession::checked_program() {
  const Program& program = job_->program.program;
  config_.hyperparameters.precision = precision_for(program, options(), config_.given.contains("precision"));
  // Before anything relies on what the graph says of its values.
  const std::vector<Probe> probes = probe_program(*job_);
  if (job_->data.evaluation.empty() && options().quantize != Quantize::kNone) {
    throw InputError("quantize=" + to_string(options().quantize) +
                     " measures what it does to the metrics on a channel named validation or test, and there is none: "
                     "add one, or hold a part of the training channel back by validation_share");
  }
  if (job_->data.evaluation.empty() && options().schedule == "plateau") {
    throw InputError("schedule=plateau follows the monitored metric: there is no channel named validation or test");
  }
  // Of the graph that will run: a pass may change the order in which parameters are used.
  Program rewritten = apply_passes(program, options().passes).on(context_.device.place());
  check_channels(*job_, rewritten, options(), context_);
  require_evaluation();
  check_deterministic(*job_, rewritten, options(), context_);
  check_predictions(*job_, rewritten, options(), context_);
  check_artifacts(*job_, options(), probes);
  check_shares(*job_, rewritten, options(), context_);
  if (context_.leads()) check_directories(config_);
  return rewritten;
}

// For what is read by evaluations alone.
void TrainingSession::require_evaluation() const {
  if (!job_->data.evaluation.empty()) return;
  const nlohmann::json values = to_json(options());
  const nlohmann::json defaults = to_json(Hyperparameters());
  for (const char* name : {"patience", "monitor", "metrics"}) {
    if (values.at(name) == defaults.at(name)) continue;
    throw InputError(std::string("hyperparameter ") + name +
                     " does nothing in this job: there is no channel named validation or test; add one, hold a part of "
                     "the training channel back by validation_share, or leave " +
                     name + " out");
  }
}

void TrainingSession::make_trainer(const Program& rewritten) {
  if (!config_.checkpoint_dir.empty()) {
    checkpoints_.emplace(config_.checkpoint_dir, checkpoint_identity(options(), *job_));
  }
  trainer_ =
      std::make_unique<Trainer>(options(),
                                TrainingInput{.objective = job_->objective,
                                              .program = job_->program.program,
                                              .rewritten = rewritten,
                                              .buckets = make_bucket_plan(options(), rewritten, context_.host.size()),
                                              .train = job_->data.training(),
                                              .evaluation = job_->data.evaluated()},
                                context_,
                                TrainingSurroundings{.events = events_,
                                                     .checkpoints = checkpoints_ ? &*checkpoints_ : nullptr,
                                                     .stop_requested = stop_.requested});
  job_->program.share_tensors(trainer_->program());
}

void TrainingSession::announce(std::int64_t resumed_step) {
  if (!context_.leads()) return;
  RunStarted started = run_started(config_, *job_, *trainer_, context_);
  if (checkpoints_) started.identity = checkpoints_->job_digest();
  started.resumed_step = resumed_step;
  events_.run_started(started);
  if (const auto shown = images_to_show(job_->data)) events_.images_shown(*shown);
  if (const std::string unused = describe_unused_channels(config_, job_->data); !unused.empty()) {
    events_.note({.text = unused, .warning = true});
  }
  for (const std::string& text : {job_->weights, job_->index}) {
    if (!text.empty()) events_.note({.text = text});
  }
  if (const std::string trained = trained_share(job_->program.program); !trained.empty())
    events_.note({.text = trained});
  for (const auto& [channel, samples] : job_->data.samples) {
    if (const std::string note = samples.dataset()->note(); !note.empty()) {
      events_.note({.text = "channel " + channel + ": " + note});
    }
  }
  if (precision_) events_.note(*precision_);
  if (options().recompute != Recompute::kNone) {
    const Program& trained = trainer_->program();
    events_.note({.text = "recompute=" + to_string(options().recompute) + ": " +
                          describe(recomputation_plan(options(), trained, context_), trained.graph())});
  }
  if (options().sync_batch_norm && context_.host.size() == 1) {
    events_.note({.text = "sync_batch_norm changes nothing: there is one rank"});
  }
  if (options().shard_optimizer && context_.host.size() == 1) {
    events_.note({.text = "shard_optimizer changes nothing: there is one rank"});
  }
  if (const std::string doubt = job_->objective.doubt(options().monitor); !doubt.empty()) {
    events_.note({.text = doubt, .warning = true});
  }
  const std::vector<std::string> outputs = job_->program.program.graph().output_names();
  if (const SeenOutputs& seen = job_->objective.seen(); !seen.named && outputs.size() > 1) {
    const bool without_weight = options().loss == "program" && !seen.weight;
    events_.note({.text = "the program returns " + join(outputs, ", ") + ", and the loss sees the first of them, " +
                          outputs.at(seen.output) + "; output=NAME names another" +
                          (without_weight ? ". No other is the loss's weight: one called weight would be, as in return "
                                            "{\"loss\": loss, \"weight\": weight}"
                                          : "")});
  }
  if (const Node* node = find_inference_node(job_->program.program.graph())) {
    events_.note(
        {.text = describe(*node) +
                 " is in its inference form: the program seems to be exported from model.eval(); export model.train()",
         .warning = true});
  }
}

SessionOutcome TrainingSession::train() {
  const TrainingResult result = trainer_->run();
  context_.position.enter(Phase::kArtifacts);
  const StopRequested next_batch = [this] {
    context_.position.enter(Phase::kArtifacts);
    return stop_.requested();
  };
  Metrics metrics;
  Tables tables;
  if (result.evaluation) {
    metrics = result.evaluation->metrics(result.evaluated_channel);
    tables = result.evaluation->tables(result.evaluated_channel);
  }
  std::vector<std::filesystem::path> predictions;
  const auto quantized = evaluate_quantized(options(), *job_, result, *trainer_, context_, stop_.requested, events_);
  if (!result.stopped) {
    const auto test = evaluate_test(options(), *job_, result.program, *trainer_, context_, next_batch, events_);
    if (test) std::ranges::copy(test->metrics(job_->data.test), std::back_inserter(metrics));
    if (test) std::ranges::copy(test->tables(job_->data.test), std::back_inserter(tables));
  }
  ArtifactPlace place;
  // When time is short after a request to stop, artifacts are left to the next run.
  const bool late = result.stopped && result.saved && stop_.half_over();
  if (context_.leads() && !late) place = place_of_artifacts(config_, result);
  const std::vector<std::filesystem::path> artifacts =
      export_artifacts(config_, *job_, result, metrics, place.directory, context_, quantized);
  if (!result.stopped) {
    trainer_->beside(
        [&] { predictions = write_predictions(config_, *job_, result.program, context_, next_batch, events_); });
  }
  trainer_->require_saved();
  // Without a step nothing is lost, and a code that is no success may say so.
  const bool may_begin_again = checkpoints_ && options().exit_code_when_stopped != 0;
  const SessionOutcome outcome = {.stopped = result.stopped,
                                  .kept = !result.stopped || result.saved ||
                                          (result.steps > 0 ? !options().export_formats.empty() : may_begin_again),
                                  .steps = result.steps};
  if (!context_.leads()) return outcome;
  if (result.stopped) tell_stop(result, outcome.kept, place.note);
  RunEnded ended = run_ended(config_, *job_, result, std::move(metrics), artifacts, seconds_since(start_), context_);
  ended.tables = std::move(tables);
  ended.predictions = std::move(predictions);
  events_.run_ended(ended);
  return outcome;
}

void TrainingSession::tell_stop(const TrainingResult& result, bool kept, const std::string& note) {
  std::string text = "stopped on request ";
  if (result.steps == 0) {
    text += "before the first step: nothing is kept";
  } else {
    text += "after step " + with_commas(result.steps) +
            (result.saved ? "; the checkpoint is complete"
             : kept       ? "; there is no checkpoint directory: only artifacts are kept"
                          : "; nothing is kept: there is no checkpoint directory, and export=none");
  }
  events_.note({.text = text + (note.empty() || options().export_formats.empty() ? "" : "; " + note)});
}

}  // namespace lockstep
