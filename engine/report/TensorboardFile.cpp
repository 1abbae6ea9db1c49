#include "engine/report/TensorboardFile.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <system_error>
#include <utility>

#include "common/Crc32c.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/report/RunRows.h"
#include "engine/report/tensorboard.pb.h"

namespace lockstep {

namespace pb = tensorboard_events;

namespace {

constexpr int kFloatType = 1;   // DT_FLOAT
constexpr int kStringType = 7;  // DT_STRING

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

template <typename Number>
std::string bytes_of(Number number) {
  std::array<char, sizeof number> bytes{};
  std::memcpy(bytes.data(), &number, sizeof number);
  return {bytes.data(), bytes.size()};
}

std::string checked(const std::string& bytes) {
  return bytes + bytes_of(masked_crc32c(std::as_bytes(std::span(bytes))));
}

// The framing of TFRecord files (engine/data/records/TfRecord.h).
std::string record(const std::string& data) {
  return checked(bytes_of(static_cast<std::uint64_t>(data.size()))) + checked(data);
}

std::string table_text(const Rows& rows) {
  std::string text = "| | |\n|---|---|\n";
  for (const auto& [name, value] : rows) text += "| " + name + " | " + value + " |\n";
  return text;
}

// As the dashboard sorts it: numbers as numbers.
pb::Value value_of(const std::string& text) {
  pb::Value value;
  std::size_t used = 0;
  double number = 0;
  try {
    number = std::stod(text, &used);
  } catch (const std::logic_error&) {
    used = 0;
  }
  if (text == "true" || text == "false") {
    value.set_bool_value(text == "true");
  } else if (used == text.size() && used > 0) {
    value.set_number_value(number);
  } else {
    value.set_string_value(text);
  }
  return value;
}

}  // namespace

TensorboardFile::TensorboardFile(std::filesystem::path directory, double seconds_between_lines)
    : directory_(std::move(directory)), meter_(false, seconds_between_lines, ProgressMeter::kFewestLines) {}

void TensorboardFile::write(pb::Event& event) {
  if (!file_) return;
  event.set_wall_time(wall_seconds());
  file_->write(record(event.SerializeAsString()));
}

void TensorboardFile::write_scalars(std::int64_t step, const std::string& group, const Metrics& values) {
  pb::Event event;
  event.set_step(step);
  for (const auto& [name, number] : values) {
    pb::Summary::Value* value = event.mutable_summary()->add_value();
    value->set_tag(group + "/" + name);
    value->set_simple_value(static_cast<float>(number));
  }
  if (!values.empty()) write(event);
}

void TensorboardFile::write_text(const std::string& tag, const std::string& text) {
  pb::Event event;
  event.set_step(step_.value_or(0));
  pb::Summary::Value* value = event.mutable_summary()->add_value();
  value->set_tag(tag);
  value->mutable_metadata()->mutable_plugin_data()->set_plugin_name("text");
  value->mutable_tensor()->set_dtype(kStringType);
  value->mutable_tensor()->mutable_tensor_shape()->add_dim()->set_size(1);
  value->mutable_tensor()->add_string_val(text);
  write(event);
}

void TensorboardFile::write_hyperparameters(const std::string& tag, const pb::Hyperparameters& message) {
  pb::Event event;
  pb::Summary::Value* value = event.mutable_summary()->add_value();
  value->set_tag("_hparams_/" + tag);
  value->mutable_metadata()->mutable_plugin_data()->set_plugin_name("hparams");
  value->mutable_metadata()->mutable_plugin_data()->set_content(message.SerializeAsString());
  value->mutable_tensor()->set_dtype(kFloatType);
  value->mutable_tensor()->mutable_tensor_shape()->add_dim()->set_size(0);
  write(event);
}

void TensorboardFile::run_started(const RunStarted& event) {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) throw InputError("cannot make TensorBoard's directory " + directory_.string() + ": " + error.message());
  file_.emplace(directory_ / format("events.out.tfevents.%010.0f.%s.%d", wall_seconds(), event.host.c_str(),
                                    static_cast<int>(::getpid())));
  pb::Event version;
  version.set_file_version("brain.Event:2");
  write(version);
  pb::Hyperparameters experiment;
  for (const char* name : {"train_loss", "samples_per_second"}) {
    experiment.mutable_experiment()->add_metric_infos()->mutable_name()->set_tag(
        (std::strcmp(name, "train_loss") == 0 ? "evaluation/" : "final/") + std::string(name));
  }
  if (!event.evaluation_channel.empty()) {
    experiment.mutable_experiment()->add_metric_infos()->mutable_name()->set_tag(
        "evaluation/" + event.evaluation_channel + "_" + event.monitor);
  }
  write_hyperparameters("experiment", experiment);
  pb::Hyperparameters start;
  for (const auto& [name, value] : event.hyperparameters) {
    (*start.mutable_session_start_info()->mutable_hparams())[name] = value_of(value);
  }
  start.mutable_session_start_info()->set_group_name(event.job_name);
  start.mutable_session_start_info()->set_start_time_secs(wall_seconds());
  write_hyperparameters("session_start_info", start);
  write_text("job", table_text(rows_of(event)));
  write_text("hyperparameters", table_text(event.hyperparameters));
}

void TensorboardFile::step_done(const StepDone& event) {
  if (!step_) {  // what a job that goes on does again counts
    pb::Event start;
    start.set_step(event.global_step);
    start.mutable_session_log()->set_status(pb::SessionLog::START);
    write(start);
  }
  step_ = event.global_step;
  since_line_ += event.seconds;
  ++steps_since_line_;
  const std::optional<Speed> speed = meter_.step_done(event);
  if (!speed) return;
  write_scalars(event.global_step, "train",
                {{"loss", event.loss},
                 {"learning_rate", event.learning_rate},
                 {"samples_per_second", speed->samples_per_second}});
  Metrics phases;
  for (const StepPhase& phase : kStepPhases) {
    const double seconds = since_line_.*phase.seconds / static_cast<double>(steps_since_line_);
    if (seconds > 0) phases.emplace_back(phase.name, seconds);
  }
  write_scalars(event.global_step, "seconds", phases);
  since_line_ = {};
  steps_since_line_ = 0;
}

void TensorboardFile::evaluated(const Evaluated& event) {
  meter_.evaluated();
  write_scalars(event.global_step, "evaluation", metrics_of(event));
}

void TensorboardFile::checkpoint_saved(const CheckpointSaved& event) { meter_.saved(event); }

void TensorboardFile::note(const Note& event) { write_text("notes", event.text); }

void TensorboardFile::run_ended(const RunEnded& event) {
  write_scalars(event.state_step, "final", metrics_of(event));
  write_text("result", table_text(rows_of(event)));
  pb::Hyperparameters end;
  end.mutable_session_end_info()->set_status(pb::Hyperparameters::STATUS_SUCCESS);
  end.mutable_session_end_info()->set_end_time_secs(wall_seconds());
  write_hyperparameters("session_end_info", end);
}

void TensorboardFile::run_failed(const RunFailed& event) {
  pb::Hyperparameters end;
  end.mutable_session_end_info()->set_status(pb::Hyperparameters::STATUS_FAILURE);
  end.mutable_session_end_info()->set_end_time_secs(wall_seconds());
  try {
    write_text("notes", "failed: " + event.text);
    write_hyperparameters("session_end_info", end);
  } catch (const Error&) {  // what the run has come to says more than that it cannot be written down
  }
}

}  // namespace lockstep
