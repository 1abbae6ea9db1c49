// A data set with the fields that a job describes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/data/Dataset.h"
#include "engine/data/fields/FieldRecipe.h"

namespace lockstep {

/// The samples of another data set, with fields that are made of its own (FieldRecipe). They come behind its own
/// fields, of which those are hidden that have the same names. How numbers are normalized is left to whoever converts
/// them (Field::normalization); all else is done as samples are read.
class FieldsDataset : public Dataset {
 public:
  /// `recipes`: for fields as `own` has them.
  FieldsDataset(std::shared_ptr<const Dataset> own, std::vector<FieldRecipe> recipes);

  std::int64_t size() const override { return own_->size(); }
  std::int64_t readable() const override { return own_->readable(); }
  const Shards* shards() const override { return own_->shards(); }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return own_->digest(); }
  std::string place(std::size_t field, std::int64_t sample) const override;
  std::string note() const override { return own_->note(); }
  bool crops() const override { return own_->crops(); }
  /// Throws InputError, saying where, also for a number that is none of the labels or that should be an integer.
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;
  void read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                   const Draw& draw) const override;

 private:
  struct Made {
    std::size_t source = 0;    ///< a field of `own_` that it is, or the first that it is made of
    std::int64_t recipe = -1;  ///< -1: it is that field
    bool straight() const { return recipe < 0; }
  };
  void read_all(std::span<const std::int64_t> samples, std::span<std::byte* const> fields, const Draw* draw) const;
  /// Of samples whose fields lie at `places`.
  void make(const FieldRecipe& recipe, std::span<const std::int64_t> samples, std::span<std::byte* const> places,
            std::byte* out) const;
  std::vector<std::int64_t> integers(const FieldRecipe::Piece& piece, std::span<const std::int64_t> samples,
                                     const std::byte* stored) const;
  std::vector<double> reals(const FieldRecipe::Piece& piece, std::size_t samples, const std::byte* stored) const;
  [[noreturn]] void refuse(const FieldRecipe::Piece& piece, std::int64_t sample, const std::string& what) const;

  std::shared_ptr<const Dataset> own_;
  std::vector<FieldRecipe> recipes_;
  std::vector<Made> made_;  ///< by field
  SampleSpec spec_;
};

}  // namespace lockstep
