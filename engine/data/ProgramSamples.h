// A data set as a program takes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/data/Columns.h"
#include "engine/data/Dataset.h"
#include "engine/data/Variation.h"

namespace lockstep {

/// A data set whose fields are joined to a program's inputs, its targets and its weights. It makes the bytes of
/// batches. Copies share the data set.
///
/// What must hold of integers is checked at once, or, of a field that is too large for that (Field::large), whenever a
/// sample is read.
class ProgramSamples {
 public:
  /// Chooses the columns (choose_columns), and looks at what the program will rely on. Throws InputError for a negative
  /// class label, for an integer that its column's type does not hold, and for a weight that is not a finite number ≥
  /// 0.
  ProgramSamples(std::shared_ptr<const Dataset> dataset, const std::vector<ProgramInput>& inputs,
                 const ColumnOptions& options);

  const std::shared_ptr<const Dataset>& dataset() const { return dataset_; }
  std::int64_t size() const { return dataset_->size(); }  ///< that this rank has
  /// How `ranks` ranks share the samples of all of them.
  Shards shards(int ranks) const { return dataset_->shards() ? *dataset_->shards() : Shards(size(), ranks); }
  std::string digest() const { return dataset_->digest(); }

  /// The tensors of a batch: the inputs in the program's order, the target and the weight if there are such.
  const std::vector<Column>& columns() const { return columns_; }
  std::size_t inputs() const { return inputs_; }
  const Column& input(std::size_t i) const { return columns_.at(i); }
  bool has_targets() const { return columns_.size() > inputs_; }
  const Column& target() const { return columns_.at(inputs_); }
  bool has_weights() const { return columns_.size() == inputs_ + 2; }

  bool class_labels() const { return has_targets() && target().transform.to() == ElementType::kInt64; }
  /// 1 + the largest class label that counts; 0 without class labels, and where they are too many to look at.
  std::int64_t classes() const { return classes_; }
  /// Other hosts have samples of so many classes.
  void widen_classes(std::int64_t classes);
  /// What the field of a column is bounded by, or 0 when that is not known.
  std::int64_t bound(const Column& column) const { return dataset_->spec().fields[column.field].bound; }

  /// How many integers from 0 on an input may hold: as its field says, else 1 + the largest of these samples. 0 for
  /// other inputs, and where they are too many to look at.
  std::int64_t count(const Column& input) const;

  /// The same samples, whose float32 inputs of bytes stay bytes, where they are normalized alike or by up to four
  /// channels: a quarter to move. Column::pixels then says what is
  /// left to do with them.
  ProgramSamples with_pixels_as_stored() const;

  /// The same samples, varied at random in each epoch: the pictures among the inputs, and what the data set varies
  /// itself. Throws InputError when pictures are to be varied and no input is one, or when their pixels are to be
  /// moved and targets are pictures, too, which would not fit any more.
  ProgramSamples varied(const Variation& variation) const;

  /// Throws InputError, naming the first such sample, when a class label is not below `classes`. `reason` says where
  /// that bound comes from: "the program has 10 classes".
  void require_classes(std::int64_t classes, const std::string& reason);
  /// Throws InputError, naming the first such sample, when a target that is a real number is neither within `least` …
  /// `most` nor `except`. Looks at none that are too many for that.
  void require_targets(double least, double most, std::optional<double> except, const std::string& expected) const;
  /// As require_classes of the integers of an input, which are negative or not below `bound`.
  void require_tokens(const Column& input, std::int64_t bound, const std::string& reason);

  /// Writes each column of `samples`, converted, one sample after another, into the memory in its place of `columns`;
  /// nullptr stands for a column that is not wanted. Thread-safe. Throws InputError for a sample that cannot be read,
  /// and for an integer, if it could not be checked before. `epoch`: for samples that are varied.
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> columns, std::int64_t epoch = 0) const;
  /// One sample of a column in float64: for messages about it.
  std::vector<double> numbers(const Column& column, std::int64_t sample) const;

 private:
  /// What must hold of the integers of a column.
  struct Check {
    std::size_t column = 0;
    std::string what;  ///< "token"
    std::int64_t least = 0;
    std::int64_t most = 0;
    std::optional<std::int64_t> except{};
    std::string expected;  ///< what a message says to that

    bool holds(std::int64_t value) const { return (value >= least && value <= most) || value == except; }
  };
  /// Now, or from now on where the field is too large.
  void require(Check check);
  /// Of samples that have just been read to `stored`.
  void check_read(const Check& check, std::span<const std::int64_t> samples, const std::byte* stored) const;
  /// Calls `visit(sample, value)` with every number of a field, as `transform`, whose result is a Number, makes it.
  template <typename Number, typename Visitor>
  void visit_numbers(std::size_t field, const Transform& transform, const Visitor& visit) const;
  /// The same with integers as they are stored.
  template <typename Visitor>
  void visit_integers(std::size_t field, const Visitor& visit) const;
  bool large(const Column& column) const { return dataset_->spec().fields[column.field].large; }
  void check_range(std::size_t column);
  /// To the places of the data set's fields.
  void read_fields(std::span<const std::int64_t> samples, std::span<std::byte* const> places, std::int64_t epoch) const;
  void check_weights() const;
  void find_classes();
  [[noreturn]] void refuse(const Column& column, const std::string& what, std::int64_t sample, const std::string& found,
                           const std::string& expected) const;

  std::shared_ptr<const Dataset> dataset_;
  std::vector<Column> columns_;
  std::size_t inputs_;
  std::optional<std::int64_t> ignored_label_;
  std::int64_t classes_ = 0;
  std::vector<Check> checks_;  ///< to be made as samples are read
  std::optional<Variation> variation_;
  std::vector<std::size_t> pictures_;  ///< fields that are varied
};

}  // namespace lockstep
