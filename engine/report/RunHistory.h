// What metrics.jsonl says of a run, in the memory of a picture.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/report/Events.h"
#include "engine/report/Metrics.h"

namespace lockstep {

/// The numbers of lines of progress. Of more lines than a picture shows, neighbours are put together; so the memory is
/// the same for any number of them.
class ProgressSeries {
 public:
  /// Columns: these, and then one for each of kStepPhases.
  static constexpr std::array<const char*, 4> kNumbers{"train_loss", "learning_rate", "samples_per_second", "seconds"};
  static constexpr std::size_t kSeconds = 3;  ///< of kNumbers
  static constexpr std::size_t kColumns = kNumbers.size() + kStepPhases.size();
  static constexpr std::size_t kMost = 1024;

  /// One number of several lines. Those that are not finite do not count.
  struct Cell {
    double sum = 0;
    double least = 0;
    double most = 0;
    std::int64_t count = 0;

    double mean() const { return sum / static_cast<double>(count); }  ///< NaN when none counts
    void add(const Cell& other);
  };
  struct Point {
    std::int64_t step = 0;  ///< of the last of its lines
    std::int64_t lines = 0;
    std::array<Cell, kColumns> cells{};
  };

  void add(std::int64_t step, const std::array<double, kColumns>& numbers);
  const std::vector<Point>& points() const { return points_; }
  std::int64_t lines_each() const { return lines_each_; }  ///< that are one point; the last may have fewer

 private:
  std::int64_t lines_each_ = 1;
  std::vector<Point> points_;
};

/// A line of the event `epoch`.
struct EvaluationLine {
  std::int64_t epoch = 0;
  std::int64_t step = 0;
  Metrics metrics{};
};

/// A run as its metrics.jsonl tells of it, up to the last whole line, with all starts of a job that was resumed. What
/// is missing, as in files of earlier versions, is empty.
class RunHistory {
 public:
  enum class State { kRunning, kEnded, kStopped, kFailed };

  /// Of a directory, or the file itself. Reads nothing yet.
  explicit RunHistory(const std::filesystem::path& path);

  /// Reads what has been added since. Throws InputError for what cannot be read or is not of metrics.jsonl, naming file
  /// and line.
  void read_on();

  const std::filesystem::path& path() const { return path_; }

  State state = State::kRunning;
  std::string error{};                  ///< why it failed
  std::string started{};                ///< 2026-01-31T12:00:00Z; the last time
  std::vector<std::int64_t> resumed{};  ///< after which steps
  std::vector<std::string> labels{};    ///< what classes are called, in their order
  Rows job{};                           ///< of the lines start and end
  Rows result{};
  Rows hyperparameters{};
  std::string monitor{};
  std::int64_t total_steps = 0;
  MemoryUse memory{};
  ProgressSeries progress{};
  std::vector<EvaluationLine> evaluations{};
  std::vector<RankUse> ranks{};  ///< the last that was said of them
  Metrics final_metrics{};
  Tables tables{};  ///< the last evaluation's, or the final ones
  ImagesShown images{};
  std::string picture{};  ///< the images' file, beside metrics.jsonl; "": there is none

 private:
  void add(std::string_view line);
  bool add_progress(std::string_view line);
  void add(const nlohmann::json& line);
  void add_start(const nlohmann::json& line);
  void add_metrics(const nlohmann::json& line, Metrics& metrics);

  std::filesystem::path path_;
  std::uintmax_t read_ = 0;  ///< bytes
  std::int64_t lines_ = 0;
  double seconds_ = 0;         ///< of the last line of progress
  double seconds_before_ = 0;  ///< of the starts before the last
};

}  // namespace lockstep
